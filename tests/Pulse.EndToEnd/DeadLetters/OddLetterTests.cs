using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>What lies in an <c>_error</c> queue and is no message of MassTransit's is kept as it came, and shown by the API and by <c>./pulse dlq</c>.</summary>
[Collection(nameof(OfRunningPulse))]
public sealed class OddLetterTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    public static TheoryData<string> Kinds => new("empty", "no JSON", "bytes", "huge", "JSON of somebody else", "wrong content type", "hostile headers");

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_is_no_envelope_is_kept_whole_and_shown(string kind)
    {
        var (contentType, body) = Of(kind);
        var letter = await CollectedAsync(kind, contentType, body);

        var detail = await AskAsync(HttpMethod.Get, $"/api/admin/dead-letters/{letter}");
        Assert.Equal(
            ("lifecycle", "other", "parked", 1, body.Length, false),
            (detail.GetProperty("letter").GetProperty("queue").GetString(), detail.GetProperty("letter").GetProperty("reason").GetString(),
                detail.GetProperty("letter").GetProperty("status").GetString(), detail.GetProperty("letter").GetProperty("occurrences").GetInt32(),
                detail.GetProperty("body_bytes").GetInt32(), detail.GetProperty("body_cut").GetBoolean()));
        Assert.Contains(
            (await AskAsync(HttpMethod.Get, "/api/admin/dead-letters?queue=lifecycle&reason=other&limit=200")).GetProperty("items").EnumerateArray(),
            item => item.GetProperty("dead_letter_id").GetGuid() == letter);

        // As it came, byte for byte.
        Assert.Equal(
            Convert.ToHexStringLower(SHA256.HashData(body)),
            await Pulse.AskAsync<string>("select encode(sha256(body), 'hex') from pulse.dead_letters where dead_letter_id = $1 and not is_envelope", letter));
        var revealed = await AskAsync(HttpMethod.Post, $"/api/admin/dead-letters/{letter}/reveal");
        if (revealed.TryGetProperty("payload_base64", out var base64) && base64.ValueKind == JsonValueKind.String)
            Assert.Equal(body, base64.GetBytesFromBase64());
        else
            Assert.True(JsonElement.DeepEquals(JsonSerializer.Deserialize<JsonElement>(body), revealed.GetProperty("payload")), revealed.GetProperty("payload").GetRawText());

        var shown = await Pulse.ScriptAsync("dlq", "show", letter.ToString());
        Assert.Contains($"{body.Length} bytes", shown, StringComparison.Ordinal);
        Assert.Contains("parked", shown, StringComparison.Ordinal);
        // Nothing that moves a terminal's cursor.
        Assert.DoesNotContain('\u001b', shown);
        Assert.DoesNotContain(shown, letter => char.IsControl(letter) && letter is not ('\n' or '\r' or '\t'));
        Assert.Contains("The audit log says that you saw it", await Pulse.ScriptAsync("dlq", "show", letter.ToString(), "--reveal"), StringComparison.Ordinal);
        Assert.Contains(letter.ToString(), await Pulse.ScriptAsync("dlq", "list", "--reason", "other", "--limit", "200"), StringComparison.Ordinal);
    }

    static (string? ContentType, byte[] Body) Of(string kind) => kind switch
    {
        "empty" => (null, []),
        "no JSON" => ("application/vnd.masstransit+json", "{\"messageType\":[\"urn:message:A:B\"],"u8.ToArray()),
        "bytes" => ("application/octet-stream", [0xff, 0xfe, 0x00, 0x1b, .. RandomNumberGenerator.GetBytes(64)]),
        "huge" => ("application/json", Encoding.UTF8.GetBytes($"[\"{new string('x', 5 << 20)}\"]")),
        "JSON of somebody else" => ("application/json", "{\"message\":{\"note\":\"\\u001b[2J\"},\"messageType\":\"none\"}"u8.ToArray()),
        "wrong content type" => ("no/such; type=\u0001", "<message>not even this</message>"u8.ToArray()),
        _ => ("text/plain", "with \u001b[31m and \0"u8.ToArray()),
    };

    async Task<Guid> CollectedAsync(string kind, string? contentType, byte[] body)
    {
        var before = await NewestAsync();
        await using var connection = await new ConnectionFactory { Uri = new Uri(Pulse["PULSE_RABBITMQ"]) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        var properties = new BasicProperties { Persistent = true };
        if (contentType is not null)
            properties.ContentType = contentType;
        if (kind == "hostile headers")
        {
            properties.Headers = new Dictionary<string, object?>
            {
                ["MT-Fault-Message"] = "half \uD83D and nothing \0 \u001b[2J",
                ["MT-Fault-Timestamp"] = "yesterday",
                ["x-death"] = "never",
                ["\u001b[31m"] = new Dictionary<string, object?> { ["deep"] = new List<object?> { 1L, null, new byte[] { 0xff } } },
            };
        }

        await channel.BasicPublishAsync("", "lifecycle_error", mandatory: true, properties, body);
        await Eventually.Until(async () => await NewestAsync() != before, TimeSpan.FromSeconds(60), $"{kind}: it was collected");
        return await NewestAsync();
    }

    Task<Guid> NewestAsync() => Pulse.AskAsync<Guid>(
        "select coalesce((select dead_letter_id from pulse.dead_letters order by collected_at desc, dead_letter_id desc limit 1), '00000000-0000-0000-0000-000000000000')");

    async Task<JsonElement> AskAsync(HttpMethod method, string path)
    {
        using var http = new HttpClient { BaseAddress = Pulse.Ingress };
        using var request = new HttpRequestMessage(method, path) { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", Pulse["PULSE_ADMIN_KEY"]) } };
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonSerializer.Deserialize<JsonElement>(text);
    }
}
