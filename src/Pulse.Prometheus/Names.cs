using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace Pulse.Prometheus;

/// <summary>Names as Prometheus allows them. A valid name stays as it is: nothing is appended.</summary>
static class Names
{
    const string LettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    static readonly SearchValues<char> LabelCharacters = SearchValues.Create(LettersAndDigits);
    static readonly SearchValues<char> MetricCharacters = SearchValues.Create(LettersAndDigits + ":");

    /// <summary>A metric's name, <c>[a-zA-Z_:][a-zA-Z0-9_:]*</c>: any other character becomes <c>_</c>.</summary>
    public static string Metric(string name) => Valid(name, MetricCharacters);

    /// <summary>Whether it is a label's name, <c>[a-zA-Z_][a-zA-Z0-9_]*</c>, and not starting with <c>__</c>, which is Prometheus' own.</summary>
    public static bool IsLabel([NotNullWhen(true)] string? name) =>
        name is { Length: > 0 } && !char.IsAsciiDigit(name[0]) && !name.AsSpan().ContainsAnyExcept(LabelCharacters)
        && !name.StartsWith("__", StringComparison.Ordinal);

    /// <summary>A label's name, made valid when it is not.</summary>
    public static string Label(string? name)
    {
        if (IsLabel(name))
            return name;

        var valid = Valid(name ?? "", LabelCharacters);
        return valid.StartsWith("__", StringComparison.Ordinal) ? "_" + valid.TrimStart('_') : valid;
    }

    static string Valid(string name, SearchValues<char> allowed)
    {
        if (name.Length > 0 && !char.IsAsciiDigit(name[0]) && !name.AsSpan().ContainsAnyExcept(allowed))
            return name;

        var valid = string.Concat(name.Select(character => allowed.Contains(character) ? character : '_'));
        return valid.Length == 0 || char.IsAsciiDigit(valid[0]) ? "_" + valid : valid;
    }
}
