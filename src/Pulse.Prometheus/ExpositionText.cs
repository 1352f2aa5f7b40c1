using System.Globalization;
using System.Text;

namespace Pulse.Prometheus;

/// <summary>The grammar of the text exposition format, version 0.0.4.</summary>
static class ExpositionText
{
    public static void AppendSample(this StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0)
            text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    public static void AppendHeader(this StringBuilder text, string name, string? help, string type)
    {
        if (!string.IsNullOrWhiteSpace(help))
            text.Append("# HELP ").Append(name).Append(' ').AppendEscaped(help, quotes: false).Append('\n');
        text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
    }

    public static StringBuilder AppendEscaped(this StringBuilder text, string value, bool quotes)
    {
        foreach (var character in value)
        {
            _ = character switch
            {
                '\\' => text.Append(@"\\"),
                '\n' => text.Append(@"\n"),
                '"' when quotes => text.Append("\\\""),
                _ => text.Append(character),
            };
        }

        return text;
    }

    public static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        double.NaN => "NaN",
        _ => value.ToString("R", CultureInfo.InvariantCulture),
    };
}
