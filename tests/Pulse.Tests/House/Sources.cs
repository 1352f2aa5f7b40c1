using System.Text;

namespace Pulse.Tests.House;

/// <summary>The repository's own files, as the tests of the house read them.</summary>
static class Sources
{
    static readonly string[] NotOurs = ["bin", "obj", ".git", ".pulse", "TestResults", "node_modules"];

    /// <summary>A C# file: what it says in code (strings blanked, comments gone) and in its string literals.</summary>
    public sealed record CSharp(string Path, string Code, IReadOnlyList<string> Literals);

    public static string Root { get; } = FindRoot();

    /// <summary>Paths from the root, with <c>/</c>, of the files under a folder of the repository.</summary>
    public static List<string> Files(string folder, string pattern) => [.. Walk(new DirectoryInfo(Path.Combine(Root, folder)))
        .SelectMany(directory => directory.EnumerateFiles(pattern))
        .Select(file => Path.GetRelativePath(Root, file.FullName).Replace('\\', '/'))
        .Order(StringComparer.Ordinal)];

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    public static List<CSharp> CSharpOf(string folder) => Files(folder, "*.cs").ConvertAll(path => Split(path, Read(path)));

    /// <summary>Fails with one line for each finding, below what to do about them.</summary>
    public static void NoneOf(IEnumerable<string> findings, string whatToDo)
    {
        var found = findings.ToList();
        if (found.Count > 0)
            Assert.Fail($"{whatToDo}{Environment.NewLine}{string.Join(Environment.NewLine, found.Select(finding => "  " + finding))}");
    }

    static IEnumerable<DirectoryInfo> Walk(DirectoryInfo directory)
    {
        if (!directory.Exists)
            return [];
        return directory.EnumerateDirectories().Where(child => !NotOurs.Contains(child.Name)).SelectMany(Walk).Prepend(directory);
    }

    static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Pulse.sln")))
                return directory.FullName;
        }

        throw new InvalidOperationException($"No Pulse.sln above {AppContext.BaseDirectory}: run the tests of the house from a checkout.");
    }

    // Comments, characters and the three forms of string, as far as these tests need them. What stands in the holes of an
    // interpolated string counts as its text; a string within such a hole is not told apart, and none of ours has one that matters.
    internal static CSharp Split(string path, string text)
    {
        var code = new StringBuilder();
        var literals = new List<string>();
        var at = 0;
        while (at < text.Length)
        {
            if (Starts("//"))
            {
                at = End(text.IndexOf('\n', at));
            }
            else if (Starts("/*"))
            {
                at = End(text.IndexOf("*/", at + 2, StringComparison.Ordinal), 2);
                code.Append(' ');
            }
            else if (Starts("\"\"\""))
            {
                var quotes = text.AsSpan(at).IndexOfAnyExcept('"');
                var end = End(text.IndexOf(new string('"', quotes), at + quotes, StringComparison.Ordinal));
                Literal(text[(at + quotes)..end]);
                at = Math.Min(text.Length, end + quotes);
            }
            else if (Starts("@\"") || Starts("$@\"") || Starts("@$\""))
            {
                var start = text.IndexOf('"', at) + 1;
                var end = start;
                while (end < text.Length && (text[end] != '"' || (end + 1 < text.Length && text[end + 1] == '"')))
                    end += text[end] == '"' ? 2 : 1;
                Literal(text[start..end]);
                at = end + 1;
            }
            else if (text[at] is '"' or '\'')
            {
                var end = at + 1;
                while (end < text.Length && text[end] != text[at])
                    end += text[end] == '\\' ? 2 : 1;
                Literal(text[(at + 1)..Math.Min(end, text.Length)]);
                at = end + 1;
            }
            else
            {
                code.Append(text[at++]);
            }
        }

        return new CSharp(path, code.ToString(), literals);

        bool Starts(string with) => string.CompareOrdinal(text, at, with, 0, with.Length) == 0;

        int End(int found, int length = 0) => found < 0 ? text.Length : found + length;

        void Literal(string value)
        {
            literals.Add(value);
            code.Append("\"\"");
        }
    }
}
