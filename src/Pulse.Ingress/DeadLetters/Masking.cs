using System.Text;
using System.Text.RegularExpressions;

namespace Pulse.Ingress.DeadLetters;

/// <summary>
/// What may be shown of a dead letter without <c>deadletters:reveal</c>. An allow-list: what is not known to be harmless is not shown,
/// wherever it stands. The API, the command line and the console show nothing of a letter past it. Pure.
/// </summary>
static partial class Masking
{
    public const string Mask = "•••";

    const int TextMost = 16 * 1024;

    // What stands around a word in prose.
    const string Around = "\"'`“”‘’«»()[]{}<>.,;:!?=|*…";

    /// <summary>Prose, such as an exception's message: word for word, those that are known.</summary>
    public static string? Text(string? text) => text is null ? null : string.Join('\n', Lines(text).Select(Line));

    /// <summary>A stack trace: frames by their form, what else is in it as prose.</summary>
    public static string? Stack(string? stack) => stack is null ? null : string.Join('\n', Lines(stack).Select(line =>
        Frame().Match(line) is { Success: true } frame ? MaskFrame(frame)
        : Divider().IsMatch(line) ? line
        : Line(line)));

    /// <summary>The name of a type, as .NET or MassTransit write it: part for part, those that are made of known words.</summary>
    public static string? TypeName(string? name) => name is null ? null : Parts(name.Length > 500 ? name[..500] : name);

    /// <summary>The words of a search, without the signs around them.</summary>
    /// <returns>The first that would be masked; null: each is shown wherever it stands alone.</returns>
    public static string? Words(string text, out string words)
    {
        var all = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(word => word.Trim(Around.ToCharArray())).ToList();
        words = string.Join(' ', all);
        return all.Find(word => !Vocabulary.Knows(word));
    }

    static IEnumerable<string> Lines(string text)
    {
        var cut = text.Length > TextMost;
        foreach (var line in (cut ? text[..TextMost] : text).Split('\n'))
            yield return line.TrimEnd('\r');
        if (cut)
            yield return "…";
    }

    static string Line(string line)
    {
        var shown = new StringBuilder(line.Length);
        var at = 0;
        while (at < line.Length)
        {
            if (char.IsWhiteSpace(line[at]) || char.IsControl(line[at]))
            {
                shown.Append(line[at] == '\t' ? '\t' : ' ');
                at++;
                continue;
            }

            var end = at;
            while (end < line.Length && !char.IsWhiteSpace(line[end]) && !char.IsControl(line[end]))
                end++;
            Chunk(shown, line.AsSpan(at, end - at));
            at = end;
        }

        // How many words are not shown is nobody's business.
        return Several().Replace(shown.ToString(), Mask);
    }

    static void Chunk(StringBuilder shown, ReadOnlySpan<char> chunk)
    {
        var core = chunk.Trim(Around);
        if (core.IsEmpty)
        {
            shown.Append(chunk.Length > 4 ? Mask : chunk);
            return;
        }

        var start = chunk.IndexOf(core);
        var before = chunk[..start];
        var after = chunk[(start + core.Length)..];
        // Known parts that are joined by signs: Key (org_id)=(…), Foo`1[Bar], a -> b.
        var known = Vocabulary.Knows(core) || core is "->" or "--->" or "-" or "/" or "&" or "+" or "–";
        shown.Append(before.Length > 4 ? "" : before).Append(known ? core : Inner(core)).Append(after.Length > 4 ? "" : after);
    }

    // A chunk such as Key="email")=(x: shown up to the first part that is not known, and nothing behind it.
    static string Inner(ReadOnlySpan<char> core)
    {
        var at = core.IndexOfAny("=(");
        return at > 2 && Vocabulary.IsIdentifier(core[..at]) ? $"{core[..at]}{core[at]}{Mask}" : Mask;
    }

    static string MaskFrame(Match frame)
    {
        var shown = new StringBuilder("   at ").Append(Parts(frame.Groups["method"].Value)).Append('(').Append(Parts(frame.Groups["parameters"].Value)).Append(')');
        if (frame.Groups["file"] is { Success: true, Value: var file })
        {
            // Where it was built says who built it.
            var name = file[(file.LastIndexOfAny(['/', '\\']) + 1)..];
            shown.Append(" in ").Append(name.EndsWith(".cs", StringComparison.Ordinal) ? Parts(name[..^3]) + ".cs" : Mask).Append(":line ").Append(frame.Groups["line"].Value);
        }

        return shown.ToString();
    }

    static string Parts(string name)
    {
        var shown = new StringBuilder(name.Length);
        var last = 0;
        foreach (var sign in Sign().EnumerateMatches(name))
        {
            Part(name.AsSpan(last, sign.Index - last));
            shown.Append(name.AsSpan(sign.Index, sign.Length));
            last = sign.Index + sign.Length;
        }

        Part(name.AsSpan(last));
        return Several().Replace(shown.ToString(), Mask);

        // Of a compiler's name c, d__12 and 0: one letter, or numbers of three digits at most.
        void Part(ReadOnlySpan<char> part) =>
            shown.Append(part.IsEmpty || Vocabulary.IsIdentifier(part) || CompilerMade().IsMatch(part) ? part : Mask);
    }

    [GeneratedRegex(@"^\s*at (?<method>[^\s(].{0,400}?)\((?<parameters>[^()]{0,600})\)(?: in (?<file>.{1,400}):line (?<line>\d{1,5}))?\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex Frame();

    [GeneratedRegex(@"^\s*--- End of (?:inner exception stack trace|stack trace from previous location) ---\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex Divider();

    [GeneratedRegex(@"[.:+`\[\],&*<>|\s]+", RegexOptions.CultureInvariant)]
    private static partial Regex Sign();

    [GeneratedRegex(@"^(?:[a-z]|[a-z]{0,2}__(?:DisplayClass)?\d{1,3}(?:_\d{1,3})?|\d{1,3})$", RegexOptions.CultureInvariant)]
    private static partial Regex CompilerMade();

    [GeneratedRegex(@"•••(?:[^\w•]{0,4}•••)+", RegexOptions.CultureInvariant)]
    private static partial Regex Several();
}
