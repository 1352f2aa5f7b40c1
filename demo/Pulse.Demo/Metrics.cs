using System.Globalization;

namespace Pulse.Demo;

/// <summary>One reading of a process's <c>/metrics</c>.</summary>
sealed class Metrics(string text)
{
    public static async Task<Metrics> Read(Surroundings surroundings, Uri process) =>
        new(await surroundings.Http.GetStringAsync(new Uri(process, "/metrics")));

    /// <summary>The sum of the series of that name that have the label, or nothing when there is none.</summary>
    public double? Value(string name, string label = "")
    {
        double? sum = null;
        foreach (var line in text.Split('\n'))
        {
            if (!line.StartsWith(name, StringComparison.Ordinal) || line.Length == name.Length || line[name.Length] is not ('{' or ' '))
                continue;

            var end = line.LastIndexOf('}') + 1;
            var value = line[Math.Max(end, name.Length)..].Trim().Split(' ')[0];
            if (line.Contains(label, StringComparison.Ordinal) && double.TryParse(value, CultureInfo.InvariantCulture, out var number))
                sum = (sum ?? 0) + number;
        }

        return sum;
    }
}
