using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Pulse.Tests.Prometheus;

/// <summary>A strict reader of the text exposition format 0.0.4: whatever the format does not say is allowed, is an error here.</summary>
sealed partial class ExpositionPage
{
    public sealed record Sample(string Name, IReadOnlyDictionary<string, string> Labels, double Value);

    public sealed record Family(string Name, string Type, string? Help, List<Sample> Samples);

    public List<Family> Families { get; } = [];

    /// <summary>The value of the one series with these labels and no others; null when there is none.</summary>
    public double? Value(string name, params (string Label, string Value)[] labels) =>
        Series(name).SingleOrDefault(sample => sample.Labels.Count == labels.Length
            && labels.All(label => sample.Labels.TryGetValue(label.Label, out var value) && value == label.Value))?.Value;

    public IEnumerable<Sample> Series(string name) => Families.SelectMany(family => family.Samples).Where(sample => sample.Name == name);

    public static ExpositionPage Parse(string text)
    {
        Check(text.EndsWith('\n'), "the last line has no line feed");
        var page = new ExpositionPage();
        string? help = null, helpOf = null;
        var seen = new HashSet<string>();
        foreach (var line in text[..^1].Split('\n'))
        {
            if (HelpLine().Match(line) is { Success: true } helps)
            {
                Check(helpOf is null, $"HELP after HELP: {line}");
                (helpOf, help) = (helps.Groups[1].Value, Unescape(helps.Groups[2].Value, quotes: false));
            }
            else if (TypeLine().Match(line) is { Success: true } types)
            {
                var name = types.Groups[1].Value;
                Check(helpOf is null || helpOf == name, $"HELP of {helpOf}, but TYPE of {name}");
                Check(page.Families.TrueForAll(family => family.Name != name), $"{name} stands twice");
                Check(page.Families.Count == 0 || string.CompareOrdinal(page.Families[^1].Name, name) < 0, $"{name} is not in order");
                page.Families.Add(new Family(name, types.Groups[2].Value, help, []));
                (help, helpOf) = (null, null);
            }
            else
            {
                Check(helpOf is null, $"HELP without TYPE: {line}");
                Check(page.Families.Count > 0, $"a sample before any TYPE: {line}");
                var sample = ParseSample(line);
                var family = page.Families[^1];
                var names = family.Type == "histogram" ? new[] { "_bucket", "_sum", "_count" }.Select(end => family.Name + end) : [family.Name];
                Check(names.Contains(sample.Name), $"{sample.Name} under {family.Type} {family.Name}");
                Check(seen.Add(sample.Name + "|" + Key(sample.Labels)), $"the series stands twice: {line}");
                family.Samples.Add(sample);
            }
        }

        foreach (var family in page.Families)
        {
            Check(family.Samples.Count > 0, $"{family.Name} has no samples");
            Check(family.Type != "counter" || family.Samples.TrueForAll(sample => sample.Value >= 0), $"{family.Name} is below 0");
            if (family.Type == "histogram")
                CheckHistogram(family);
        }

        return page;
    }

    static void CheckHistogram(Family family)
    {
        foreach (var series in family.Samples.GroupBy(sample => Key(sample.Labels.Where(label => label.Key != "le"))))
        {
            var buckets = series.Where(sample => sample.Name.EndsWith("_bucket", StringComparison.Ordinal)).ToList();
            var bounds = buckets.ConvertAll(bucket => Number(bucket.Labels["le"]));
            Check(bounds.SequenceEqual(bounds.Distinct().Order()), $"{family.Name}: bounds not ascending");
            Check(double.IsPositiveInfinity(bounds[^1]), $"{family.Name}: no +Inf bucket");
            Check(buckets.Select(bucket => bucket.Value).SequenceEqual(buckets.Select(bucket => bucket.Value).Order()), $"{family.Name}: not cumulative");
            Check(series.Single(sample => sample.Name == family.Name + "_count").Value == buckets[^1].Value, $"{family.Name}: count is not the +Inf bucket");
            Check(series.Count(sample => sample.Name == family.Name + "_sum") == 1, $"{family.Name}: no sum");
        }
    }

    static Sample ParseSample(string line)
    {
        var match = SampleLine().Match(line);
        Check(match.Success, $"neither HELP, TYPE nor sample: {line}");
        var labels = new Dictionary<string, string>();
        var previous = "";
        foreach (Match label in Label().Matches(match.Groups["labels"].Value))
        {
            var name = label.Groups[1].Value;
            Check(!name.StartsWith("__", StringComparison.Ordinal), $"reserved label: {line}");
            Check(labels.TryAdd(name, Unescape(label.Groups[2].Value, quotes: true)), $"the label {name} stands twice: {line}");
            // The format does not ask for sorted labels, but this exporter promises them; le is last.
            Check(name == "le" || string.CompareOrdinal(previous, name) < 0, $"labels not in order: {line}");
            previous = name;
        }

        return new Sample(match.Groups["name"].Value, labels, Number(match.Groups["value"].Value));
    }

    static string Unescape(string text, bool quotes)
    {
        var plain = new StringBuilder();
        for (var index = 0; index < text.Length; index++)
        {
            if (text[index] != '\\')
            {
                plain.Append(text[index]);
                continue;
            }

            index++;
            plain.Append(index < text.Length ? text[index] switch
            {
                '\\' => '\\',
                'n' => '\n',
                '"' when quotes => '"',
                _ => throw new FormatException($"no such escape: {text}"),
            } : throw new FormatException($"ends within an escape: {text}"));
        }

        return plain.ToString();
    }

    static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => double.Parse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture),
    };

    static string Key(IEnumerable<KeyValuePair<string, string>> labels) =>
        string.Join('\u001f', labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => $"{label.Key}\u001e{label.Value}"));

    static void Check(bool holds, string otherwise)
    {
        if (!holds)
            throw new FormatException(otherwise);
    }

    [GeneratedRegex(@"\A# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)\z", RegexOptions.Singleline)]
    private static partial Regex HelpLine();

    [GeneratedRegex(@"\A# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)\z")]
    private static partial Regex TypeLine();

    [GeneratedRegex("""\A(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?<labels>[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*")*)\})? (?<value>[^ ]+)\z""", RegexOptions.Singleline)]
    private static partial Regex SampleLine();

    [GeneratedRegex("""([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|\z)""", RegexOptions.Singleline)]
    private static partial Regex Label();
}
