using System.Text.RegularExpressions;
using Pulse.Ingress.DeadLetters;
using static Pulse.Tests.House.Sources;

namespace Pulse.Tests.House;

/// <summary>What we call things is no secret: it may be shown in a stack trace and in an exception's message.</summary>
public sealed partial class Words
{
    const string Vocabulary = "src/Pulse.Ingress/DeadLetters/words.txt";

    [Fact]
    public void Our_own_names_are_words_that_a_masked_stack_trace_shows()
    {
        var known = Read(Vocabulary).Split('\n', StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        var missing = (
            from file in CSharpOf("src")
            from Match name in Declared().Matches(file.Code)
            from Match word in Ingress.DeadLetters.Vocabulary.Word().Matches(name.Groups[1].Value + name.Groups[2].Value)
            where word.Length is > 2 and <= 16
            select word.Value.ToLowerInvariant()).Where(word => !known.Contains(word)).Distinct().Order(StringComparer.Ordinal).ToList();
        if (Environment.GetEnvironmentVariable("PULSE_APPROVE") == "1")
        {
            File.WriteAllText(Path.Combine(Root, Vocabulary), string.Concat(known.Concat(missing).Order(StringComparer.Ordinal).Select(word => word + "\n")));
            return;
        }

        NoneOf(missing, $"""
            These words of types' and methods' names are not in {Vocabulary}: an exception that has them would be masked.
            PULSE_APPROVE=1 dotnet test tests/Pulse.Tests --filter House adds them. Look at what it adds: no word of it may be anybody's.
            """);
    }

    [Fact]
    public void The_words_are_small_letters_each_once_in_order()
    {
        var words = Read(Vocabulary).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(words.Distinct().Order(StringComparer.Ordinal), words);
        Assert.All(words, word => Assert.Matches("^[a-z]{1,18}$", word));
    }

    [GeneratedRegex(@"\b(?:class|record(?:\s+struct)?|struct|enum|interface)\s+(\w+)|(?<=\b(?:Task(?:<[^()]*?>)?|void|async)\s+)(\w+)(?=\s*\()")]
    private static partial Regex Declared();
}
