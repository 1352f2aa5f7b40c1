using System.Text.RegularExpressions;
using static Pulse.Tests.House.Sources;

namespace Pulse.Tests.House;

/// <summary>Every time that decides anything comes from the TimeProvider, so that a test or a developer can move it.</summary>
public sealed partial class Time
{
    /// <summary>Who may name the system's clock, and why.</summary>
    static readonly Dictionary<string, string> SystemClock = new()
    {
        ["src/Pulse.Hosting/PulseProcess.cs"] = "gives the process its clock",
        ["src/Pulse.Hosting/MovableClock.cs"] = "is the clock that moves, on top of the system's",
        ["src/Pulse.Worker/Dlq/DlqCommand.cs"] = "paces a command on an operator's machine, which has no clock of Pulse's",
        ["src/Pulse.Entitlements/PulseEntitlements.cs"] = "gives a service that registers no clock the system's: the library runs in processes that are not Pulse's",
        ["src/Pulse.Messaging/Scheduling/"] = "MassTransit asks for times of the system's clock; one file there translates them",
    };

    [Fact]
    public void Nothing_reads_the_clock_past_the_TimeProvider() => NoneOf(
        from file in CSharpOf("src")
        from Match match in DirectClock().Matches(file.Code)
        select $"{file.Path}: {match.Value}",
        "This reads the system's clock. Take a TimeProvider in the constructor and ask it: clock.GetUtcNow(), and Guid.CreateVersion7(clock.GetUtcNow()).");

    [Fact]
    public void The_system_s_clock_is_named_only_where_the_process_gets_its_own()
    {
        var files = CSharpOf("src").Where(file => SystemTimeProvider().IsMatch(file.Code)).Select(file => file.Path).ToList();
        NoneOf(
            files.Where(path => !SystemClock.Keys.Any(allowed => path == allowed || (allowed.EndsWith('/') && path.StartsWith(allowed, StringComparison.Ordinal)))),
            "TimeProvider.System does not move with Pulse's clock. Have a TimeProvider injected, or add the file to this test's list with the reason why it can't.");
        NoneOf(
            SystemClock.Keys.Where(allowed => allowed.EndsWith('/'))
                .Select(allowed => files.Where(path => path.StartsWith(allowed, StringComparison.Ordinal)).ToList())
                .Where(seams => seams.Count > 1).Select(seams => string.Join(", ", seams)),
            "One seam between two clocks can be understood, two can't. Put them into one file.");
    }

    [Fact]
    public void Sql_gets_the_time_as_a_parameter()
    {
        const string whatToDo = "This statement asks Postgres for the time, and Postgres' clock does not move with Pulse's. Pass clock.GetUtcNow().UtcDateTime as a parameter.";
        NoneOf(
            from file in CSharpOf("src")
            where !Schema(file.Path)
            from literal in file.Literals
            from Match match in SqlClock().Matches(literal)
            select $"{file.Path}: {match.Value}",
            whatToDo);
        NoneOf(
            from path in Files("src", "*.sql")
            where !Schema(path)
            from Match match in SqlClock().Matches(SqlComment().Replace(Read(path), ""))
            select $"{path}: {match.Value}",
            whatToDo);

        // When a migration ran is a fact about the database, not a time that decides anything.
        static bool Schema(string path) => path.Contains("/Migrations/", StringComparison.Ordinal) || path.Contains("/Schema/", StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\bDateTime(Offset)?\s*\.\s*(UtcNow|Now|Today)\b|\bGuid\s*\.\s*CreateVersion7\s*\(\s*\)|\bnew\s+DateTimeOffset\s*\(\s*DateTime\s*\.\s*\w*Now")]
    private static partial Regex DirectClock();

    [GeneratedRegex(@"\bTimeProvider\s*\.\s*System\b")]
    private static partial Regex SystemTimeProvider();

    [GeneratedRegex(@"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(|\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b|'now'", RegexOptions.IgnoreCase)]
    private static partial Regex SqlClock();

    [GeneratedRegex("--[^\n]*")]
    private static partial Regex SqlComment();
}
