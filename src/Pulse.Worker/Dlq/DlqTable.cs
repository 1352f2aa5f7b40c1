using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Pulse.Worker.Dlq;

/// <summary>Text for a terminal: columns under each other, and times that are short.</summary>
static class DlqTable
{
    /// <param name="columns">Headings; one that begins with # is of numbers, and stands to the right.</param>
    /// <param name="rows">Cells.</param>
    public static string Of(IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        var widths = columns.Select((column, at) => rows.Select(row => row[at].Length).Append(column.TrimStart('#').Length).Max()).ToList();
        var text = new StringBuilder();
        foreach (var row in rows.Prepend([.. columns.Select(column => column.TrimStart('#'))]))
            text.AppendLine(string.Join("  ", row.Select((cell, at) => columns[at][0] == '#' ? cell.PadLeft(widths[at]) : cell.PadRight(widths[at]))).TrimEnd());
        return text.ToString().TrimEnd();
    }

    /// <summary>One line, without what moves a terminal's cursor.</summary>
    public static string Cell(JsonNode? value, int most = 80)
    {
        var text = value switch
        {
            null => "–",
            JsonArray list => string.Join(", ", list.Select(item => item?.ToString())),
            _ => value.ToString(),
        };
        text = new string([.. text.Select(letter => char.IsControl(letter) ? ' ' : letter)]);
        return text.Length > most ? text[..(most - 1)] + "…" : text;
    }

    public static string Time(JsonNode? value) =>
        value is not null && DateTimeOffset.TryParse(value.ToString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)
            : "–";

    /// <summary>A type without its namespace.</summary>
    public static string Short(JsonNode? type) => Cell(type) is var text && text.LastIndexOfAny(['.', ':']) is >= 0 and var at ? text[(at + 1)..] : text;

    /// <summary>Several lines, without what moves a terminal's cursor.</summary>
    public static string Lines(JsonNode? value) =>
        value is null ? "–" : new string([.. value.ToString().Where(letter => letter is '\n' or '\t' || !char.IsControl(letter))]);
}
