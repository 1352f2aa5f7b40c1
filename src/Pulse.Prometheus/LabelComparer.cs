using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Pulse.Prometheus;

/// <summary>
/// Finds a series by a measurement's tags as they come: in any order, with values of any type, without allocating. Values outside
/// of a closed set are <c>other</c> already here, so that they never take room in the dictionary.
/// </summary>
/// <param name="allowed">The values of each label whose set is closed.</param>
/// <param name="histogram">Whether <c>le</c> is taken.</param>
sealed class LabelComparer(FrozenDictionary<string, FrozenSet<string>> allowed, bool histogram)
    : IEqualityComparer<LabelSet>, IAlternateEqualityComparer<ReadOnlySpan<KeyValuePair<string, object?>>, LabelSet>
{
    // Numbers, dates, GUIDs and most enumerations are no longer than this.
    const int Scratch = 64;

    // Names that had to be made valid. They are literals in somebody's code, so these are few; a bound even so.
    const int MaxRenamed = 100;
    readonly ConcurrentDictionary<string, string> _renamed = [];

    public bool Equals(LabelSet? x, LabelSet? y) => x is not null && y is not null && x.Text == y.Text;

    public int GetHashCode(LabelSet obj) => obj.Hash;

    public int GetHashCode(ReadOnlySpan<KeyValuePair<string, object?>> alternate)
    {
        Span<char> scratch = stackalloc char[Scratch];
        var hash = 0;
        for (var index = 0; index < alternate.Length; index++)
        {
            if (Read(alternate, index, scratch, out var name, out var value))
                hash += HashOf(name, value);
        }

        return hash;
    }

    public bool Equals(ReadOnlySpan<KeyValuePair<string, object?>> alternate, LabelSet other)
    {
        Span<char> scratch = stackalloc char[Scratch];
        var count = 0;
        for (var index = 0; index < alternate.Length; index++)
        {
            if (!Read(alternate, index, scratch, out var name, out var value))
                continue;
            if (other[name] is not { } known || !value.SequenceEqual(known))
                return false;
            count++;
        }

        return count == other.Count;
    }

    public LabelSet Create(ReadOnlySpan<KeyValuePair<string, object?>> alternate)
    {
        Span<char> scratch = stackalloc char[Scratch];
        var labels = new List<KeyValuePair<string, string>>(alternate.Length);
        for (var index = 0; index < alternate.Length; index++)
        {
            if (Read(alternate, index, scratch, out var name, out var value))
                labels.Add(KeyValuePair.Create(name, value.ToString()));
        }

        return labels.Count == 0 ? LabelSet.Empty : new LabelSet(labels);
    }

    // Added up over a set's labels: their order makes no difference.
    public static int HashOf(string name, ReadOnlySpan<char> value) => HashCode.Combine(string.GetHashCode(name), string.GetHashCode(value));

    /// <returns>False for a tag that makes no label: its value is empty, or a later tag has its name.</returns>
    bool Read(ReadOnlySpan<KeyValuePair<string, object?>> tags, int index, Span<char> scratch, out string name, out ReadOnlySpan<char> value)
    {
        name = Name(tags[index].Key);
        for (var later = index + 1; later < tags.Length; later++)
        {
            if (Name(tags[later].Key) == name)
            {
                value = default;
                return false;
            }
        }

        value = Text(tags[index].Value, scratch);
        if (allowed.TryGetValue(name, out var values) && !values.GetAlternateLookup<ReadOnlySpan<char>>().Contains(value))
            value = LabelSet.Other;
        return value.Length > 0;
    }

    string Name(string? tag)
    {
        var reserved = histogram && tag == "le";
        if (!reserved && Names.IsLabel(tag))
            return tag;
        if (_renamed.TryGetValue(tag ?? "", out var name))
            return name;

        name = reserved ? "exported_le" : Names.Label(tag);
        if (_renamed.Count < MaxRenamed)
            _renamed[tag ?? ""] = name;
        return name;
    }

    [SuppressMessage("Globalization", "CA1308", Justification = "Prometheus writes truth in lower case.")]
    static ReadOnlySpan<char> Text(object? value, Span<char> scratch)
    {
        switch (value)
        {
            case string text: return WellFormed(text);
            case null: return default;
            case bool truth: return truth ? "true" : "false";
            case ISpanFormattable formattable when formattable.TryFormat(scratch, out var written, default, CultureInfo.InvariantCulture):
                return scratch[..written];
            default: return WellFormed(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "");
        }
    }

    // Half a surrogate pair can't be written as UTF-8. Replaced here, or two series could come out with the same labels.
    static string WellFormed(string text) =>
        text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF') ? Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) : text;
}
