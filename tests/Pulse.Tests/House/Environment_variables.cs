using System.Text.RegularExpressions;
using static Pulse.Tests.House.Sources;

namespace Pulse.Tests.House;

/// <summary>.env.example is the list of everything that Pulse can be told.</summary>
public sealed partial class Environment_variables
{
    [Fact]
    public void Every_variable_that_is_read_is_in_the_example() => NoneOf(
        Read().Except(Described()),
        "src reads a variable that .env.example does not describe. Add it there: a comment with meaning, unit, bounds and what holds without it, then NAME=value.");

    [Fact]
    public void Every_variable_in_the_example_is_read() => NoneOf(
        Described().Except(Read()).Except(ReadByScripts()),
        ".env.example describes a variable that nothing reads. Take it out, or correct its name.");

    [Fact]
    public void Every_variable_in_the_example_has_a_comment_and_stands_once()
    {
        var lines = Example().Split('\n');
        NoneOf(
            lines.Index().Where(line => Assignment().IsMatch(line.Item) && !Explained(line.Index)).Select(line => line.Item),
            "A variable of .env.example has no comment above it. Say what it means, its unit, its bounds and what holds without it.");
        NoneOf(
            // Commented out it may stand again, as what another process would be given.
            lines.Where(line => !line.StartsWith('#')).Select(line => Assignment().Match(line)).Where(match => match.Success).GroupBy(match => match.Groups[1].Value)
                .Where(group => group.Count() > 1).Select(group => group.Key),
            "A variable stands in .env.example more than once: the last one would hold. Keep one.");

        // A comment may be about a block of variables, and so may a heading (# --- …) with an empty line below it.
        bool Explained(int index)
        {
            while (index > 0 && Assignment().IsMatch(lines[index]))
                index--;
            if (index > 0 && lines[index].Length == 0 && lines[index - 1].StartsWith("# ---", StringComparison.Ordinal))
                index--;
            return lines[index].StartsWith('#') && !Assignment().IsMatch(lines[index]);
        }
    }

    static SortedSet<string> Read() => [.. from file in CSharpOf("src") from literal in file.Literals where Name().IsMatch(literal) select literal];

    static SortedSet<string> Described() => [.. Example().Split('\n').Select(line => Assignment().Match(line)).Where(match => match.Success).Select(match => match.Groups[1].Value)];

    // The command line and compose take variables of their own from the same file.
    static IEnumerable<string> ReadByScripts() =>
        from path in Files("scripts", "*.sh").Concat(new[] { "pulse", "docker-compose.yml" }.Where(path => File.Exists(Path.Combine(Root, path))))
        from Match match in InScript().Matches(Sources.Read(path))
        select match.Groups[1].Value;

    static string Example()
    {
        Assert.True(File.Exists(Path.Combine(Root, ".env.example")),
            "There is no .env.example in the repository's root. It lists every PULSE_ variable that src reads, each with a comment.");
        return Sources.Read(".env.example").ReplaceLineEndings("\n");
    }

    [GeneratedRegex("^PULSE_[A-Z0-9_]+$")]
    private static partial Regex Name();

    // What is optional stands commented out, without a space, so that a sentence is no assignment.
    [GeneratedRegex("^#? ?(PULSE_[A-Z0-9_]+)=")]
    private static partial Regex Assignment();

    [GeneratedRegex(@"\$\{?(PULSE_[A-Z0-9_]+)")]
    private static partial Regex InScript();
}
