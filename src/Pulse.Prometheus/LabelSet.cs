using System.Text;

namespace Pulse.Prometheus;

/// <summary>The labels of one series, sorted by name, each name once, no value empty.</summary>
sealed class LabelSet
{
    public const string Other = "other";

    readonly KeyValuePair<string, string>[] _labels;

    public LabelSet(IEnumerable<KeyValuePair<string, string>> labels)
    {
        _labels = [.. labels.OrderBy(label => label.Key, StringComparer.Ordinal)];
        Text = Render(_labels);
        foreach (var (name, value) in _labels)
            Hash += LabelComparer.HashOf(name, value);
    }

    public static LabelSet Empty { get; } = new([]);

    public int Count => _labels.Length;

    public int Hash { get; }

    /// <summary><c>a="1",b="2"</c>, escaped.</summary>
    public string Text { get; }

    public LabelSet AllOther() => new(_labels.Select(label => KeyValuePair.Create(label.Key, Other)));

    /// <summary>The value of a label; null when the label is not here.</summary>
    public string? this[string name]
    {
        get
        {
            foreach (var label in _labels)
            {
                if (label.Key == name)
                    return label.Value;
            }

            return null;
        }
    }

    static string Render(KeyValuePair<string, string>[] labels)
    {
        var text = new StringBuilder();
        foreach (var (name, value) in labels)
        {
            if (text.Length > 0)
                text.Append(',');
            text.Append(name).Append("=\"").AppendEscaped(value, quotes: true).Append('"');
        }

        return text.ToString();
    }
}
