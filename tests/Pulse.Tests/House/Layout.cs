using System.Reflection;
using System.Text.RegularExpressions;
using Pulse.Contracts.Signups;
using static Pulse.Tests.House.Sources;

namespace Pulse.Tests.House;

public sealed partial class Layout
{
    /// <summary>Folders that are no slices: every slice of the process may use them, and they use none.</summary>
    static readonly string[] Shared =
        ["src/Pulse.Worker/Operations", "src/Pulse.Ingress/Http", "src/Pulse.Ingress/Keys", "src/Pulse.Ingress/Operations", "src/Pulse.Ingress/Console"];

    [Theory]
    [InlineData("Pulse.Worker")]
    [InlineData("Pulse.Ingress")]
    public void Slices_meet_through_contracts_only(string process)
    {
        var files = CSharpOf($"src/{process}").Where(file => file.Path.Count(character => character == '/') > 2).ToList();
        var folders = files.Select(Folder).Distinct().ToList();

        NoneOf(
            from file in files
            from folder in folders
            where folder != Folder(file) && !Shared.Contains($"src/{process}/{folder}")
            // By its whole name, or by the short one that the shared parent namespace would allow.
            where Regex.IsMatch(file.Code, $@"\b{Regex.Escape(process)}\.{folder}\b|(?<![\w.]){folder}\.[A-Z]")
            select $"{file.Path} mentions {process}.{folder}",
            $"A slice of {process} uses another. Let the one publish a message of Pulse.Contracts that the other consumes, or put what both need into a library.");

        static string Folder(CSharp file) => file.Path.Split('/')[2];
    }

    [Fact]
    public void A_file_is_in_the_namespace_of_its_folder() => NoneOf(
        from file in CSharpOf("src")
        let expected = string.Join('.', file.Path.Split('/')[1..^1])
        let declared = Namespace().Match(file.Code).Groups[1].Value
        // Top-level statements have none.
        where declared.Length > 0 && declared != expected
        select $"{file.Path}: {declared} should be {expected}",
        "A namespace is not its folder's, so the rule that keeps slices apart can't see it. Rename it, or move the file.");

    [Fact]
    public void Contracts_depend_on_nothing()
    {
        const string whatToDo = "Pulse.Contracts is messages only, so that anybody can reference it. Put what needs a dependency into Pulse.Messaging or a slice.";
        NoneOf(
            Regex.Matches(Read("src/Pulse.Contracts/Pulse.Contracts.csproj"), "<(Package|Project|Framework)?Reference[^>]*>").Select(match => match.Value),
            whatToDo);
        NoneOf(
            from file in CSharpOf("src/Pulse.Contracts")
            from Match match in Using().Matches(file.Code)
            where !Ours(match.Groups[1].Value)
            select $"{file.Path}: {match.Value.Trim()}",
            whatToDo);
        // Also what is written out in full, without a using.
        NoneOf(
            typeof(SignupRequested).Assembly.GetReferencedAssemblies().Select(assembly => assembly.Name!)
                .Where(name => !name.StartsWith("System.", StringComparison.Ordinal) && name != "netstandard"),
            whatToDo);

        static bool Ours(string name) => name is "System" || name.StartsWith("System.", StringComparison.Ordinal)
            || name is "Pulse.Contracts" || name.StartsWith("Pulse.Contracts.", StringComparison.Ordinal);
    }

    [Fact]
    public void No_file_is_named_after_nothing() => NoneOf(
        Files("src", "*.cs").Where(path => Vague().IsMatch(path)),
        "The file's name does not say what it does. Name it for that, in the field's own words: Table, Rules, Saga, Consumer, Reaper, Slice.");

    [Fact]
    public void MassTransit_stays_on_version_8()
    {
        const string whatToDo = "MassTransit 9 needs a commercial licence at start-up. Go back to 8.x, in Directory.Packages.props and with `dotnet restore --force-evaluate`.";
        var pinned = MassTransitPin().Matches(Read("Directory.Packages.props"));
        Assert.True(pinned.Count > 0, "Directory.Packages.props names no MassTransit. If it is gone for good, so should this test be.");
        // [8.5.12] and nothing looser: a minimum alone would let a restore go to 9.
        NoneOf(
            pinned.Where(match => !Regex.IsMatch(match.Groups[2].Value, @"^\[8\.[0-9.]+\]$")).Select(match => match.Value),
            whatToDo + " Pin it exactly: [8.x.y].");
        NoneOf(
            from path in Files("", "packages.lock.json")
            from Match match in MassTransitLock().Matches(Read(path))
            where !match.Groups[2].Value.StartsWith("8.", StringComparison.Ordinal)
            select $"{path}: {match.Groups[1].Value} {match.Groups[2].Value}",
            whatToDo);
    }

    [GeneratedRegex(@"^\s*namespace\s+([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"^\s*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?(?:global::)?([\w.]+)[^;(]*;", RegexOptions.Multiline)]
    private static partial Regex Using();

    [GeneratedRegex(@"(Helpers?|Utils?|Utilit(y|ies)|Managers?|Services?|Extensions?)\.cs$")]
    private static partial Regex Vague();

    [GeneratedRegex("""Include="(MassTransit[\w.]*)"\s+Version="([^"]+)""")]
    private static partial Regex MassTransitPin();

    [GeneratedRegex(""" "(MassTransit[\w.]*)": \{\s+"type": "\w+",(?:\s+"requested": "[^"]*",)?\s+"resolved": "([^"]+)""")]
    private static partial Regex MassTransitLock();
}
