using System.Collections.Frozen;
using System.Text.RegularExpressions;
using Npgsql;

namespace Pulse.Ingress.DeadLetters;

/// <summary>
/// The words that may be shown of a text that somebody else wrote: those that Pulse's own code, .NET, Postgres and the libraries use in their
/// names and messages (words.txt). What is not among them may be anybody's name, and is not shown.
/// </summary>
static partial class Vocabulary
{
    // A chain of many words is no identifier.
    const int WordsMost = 12;

    static readonly FrozenSet<string> Words = Load();

    // What Postgres' errors begin with: a closed set.
    static readonly FrozenSet<string> SqlStates = typeof(PostgresErrorCodes).GetFields()
        .Select(field => field.GetRawConstantValue() as string).OfType<string>().ToFrozenSet(StringComparer.Ordinal);

    /// <summary>A word of prose, an identifier made of known words, a small number, an SQLSTATE, or an id of Stripe's.</summary>
    public static bool Knows(ReadOnlySpan<char> text) =>
        SmallNumber().IsMatch(text) || StripeId().IsMatch(text) || (text.Length == 5 && SqlStates.GetAlternateLookup<ReadOnlySpan<char>>().Contains(text)) || IsIdentifier(text);

    /// <summary>Whether it is made of known words: <c>InvalidOperationException</c>, <c>users_email_key</c>, <c>can't</c>, <c>Int32</c>.</summary>
    public static bool IsIdentifier(ReadOnlySpan<char> text)
    {
        if (text.Length is 0 or > 120 || !Identifier().IsMatch(text))
            return false;

        var (words, lookup) = (0, Words.GetAlternateLookup<ReadOnlySpan<char>>());
        Span<char> small = stackalloc char[120];
        foreach (var match in Word().EnumerateMatches(text))
        {
            var length = text.Slice(match.Index, match.Length).ToLowerInvariant(small);
            if (++words > WordsMost || !lookup.Contains(small[..length]))
                return false;
        }

        return words > 0;
    }

    static FrozenSet<string> Load()
    {
        using var stream = typeof(Vocabulary).Assembly.GetManifestResourceStream("Pulse.Ingress.DeadLetters.words.txt")
            ?? throw new InvalidOperationException("words.txt is not in the assembly.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).ToFrozenSet(StringComparer.Ordinal);
    }

    // Letters, joined; two digits at most, behind three letters or more.
    [GeneratedRegex(@"^(?=(?:\D*\d{0,2}\D*)$)[A-Za-z]+(?:['_.:/+\-][A-Za-z]+)*(?:(?<=[A-Za-z]{3})\d{1,2}(?:[_.][A-Za-z]+)*)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Identifier();

    [GeneratedRegex("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", RegexOptions.CultureInvariant)]
    internal static partial Regex Word();

    [GeneratedRegex(@"^\d{1,3}(?:ms|s|%)?$", RegexOptions.CultureInvariant)]
    private static partial Regex SmallNumber();

    // They open nothing, and are what an operator looks for at Stripe.
    [GeneratedRegex("^(?:price|prod|cus|sub|in|evt)_[A-Za-z0-9_]{1,64}$", RegexOptions.CultureInvariant)]
    private static partial Regex StripeId();
}
