using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.Console;

/// <summary>A secret in payload, header, exception and stack, looked for wherever an operator without <c>deadletters:reveal</c>, a log reader or a scraper looks.</summary>
public sealed class SecretTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    readonly string _secret = $"sk_live_{Guid.NewGuid():N}";

    [Fact]
    public async Task A_secret_of_a_letter_is_nowhere_without_reveal_and_with_it_the_audit_log_says_so()
    {
        var org = await TenantAsync();
        var letter = await FailedAsync(org);
        var group = await Pulse.AskAsync<string>("select fingerprint from pulse.dead_letters where dead_letter_id = $1", letter);
        var operator_ = await KeyAsync("deadletters:read", "deadletters:write", "orgs:read", "billing:read", "audit:read");
        var page = await SignedInAsync(operator_);

        // Planned, previewed and replayed, so that it fails once more: all that is told on the way is looked at.
        var plan = JsonSerializer.Deserialize<JsonElement>(await ApiAsync("POST", "/api/admin/replays", $$"""{"ids":["{{letter}}"]}"""));
        var replay = plan.GetProperty("replay_id").GetGuid();
        await ApiAsync("POST", $"/api/admin/replays/{replay}/preview", "{}");
        await LookAsync();

        using var revealed = await Pulse.SendAsync("POST", $"/api/admin/dead-letters/{letter}/reveal");
        var shown = await revealed.Content.ReadAsStringAsync();
        foreach (var part in (string[])["payload", "headers", "exception_message", "stack"])
            Assert.Contains(_secret, JsonSerializer.Deserialize<JsonElement>(shown).GetProperty(part).ToString(), StringComparison.Ordinal);
        Assert.Equal(1L, await Pulse.AskAsync<long>(
            "select count(*) from pulse.audit_log where action = 'dead_letter_revealed' and actor = $2 and after ->> 'dead_letter_id' = $1", letter.ToString(), $"key:{Pulse["PULSE_ADMIN_KEY"].Split('_')[1]}"));
        await ApiAsync("POST", $"/api/admin/replays/{replay}/start", """{"stop_on_failure_ratio":1}""");
        await Eventually.Until(async () => await StatusAsync(letter) == "failed_again", TimeSpan.FromSeconds(60), "it failed again");
        await LookAsync();

        foreach (var path in (string[])[$"/api/admin/dead-letters/{letter}/reveal", $"/api/admin/dead-letters/{letter}/edit"])
        {
            using var refused = await Pulse.SendAsync("POST", path, "{}", operator_);
            Assert.Equal(403, (int)refused.StatusCode);
        }

        async Task<string> ApiAsync(string method, string path, string? body = null)
        {
            using var answer = await Pulse.SendAsync(method, path, body, operator_);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.True(answer.IsSuccessStatusCode, $"{path}: {text}");
            Clean(path, text);
            return text;
        }

        async Task LookAsync()
        {
            foreach (var path in (string[])
                     [
                         "dead-letters", $"dead-letters?id={letter}", "dead-letters/groups", $"dead-letters/{letter}", "replays", $"replays/{replay}", $"operations/{replay}", "audit", $"orgs/{org}",
                         $"orgs/{org}/audit", $"orgs/{org}/billing-state/explain",
                     ])
            {
                await ApiAsync("GET", $"/api/admin/{path}");
            }

            foreach (var path in (string[])
                     [
                         "health", "dead-letters", $"dead-letters/groups/{group}", "dead-letters/messages", $"dead-letters/messages/{letter}", "replays", $"replays/{replay}", $"replays/{replay}/progress",
                         $"organizations/{org}", "audit",
                     ])
            {
                var answer = await GoAsync(page, $"/console/{path}");
                Assert.Equal(200, answer!.Status);
                Clean(path, await answer.TextAsync());
            }

            foreach (var line in (string[])["groups", "list", $"list --org {org}", $"show {letter}", $"show {letter} --json", "replays --json", $"follow {replay}", $"follow {replay} --json", $"replay {letter} --sample 1"])
                Clean(line, await DlqAsync(operator_, line.Split(' ')));
            foreach (var process in (Uri[])[Pulse.Ingress, Pulse.Worker])
                Clean("metrics", await Pulse.ScrapeAsync(process));
            foreach (var log in Directory.GetFiles(Path.Combine(Pulse.State, "logs")).Where(log => Path.GetFileName(log) is "worker.log" or "ingress.log" or "postgres.log"))
                Clean(log, await File.ReadAllTextAsync(log));
            foreach (var table in (string[])["pulse.audit_log", "pulse.operations", "pulse.replays", "pulse.replay_items", "pulse.dead_letter_counts_v1"])
                Assert.True(await Pulse.AskAsync<long>($"select count(*) from {table} t where strpos(t::text, $1) > 0", _secret) == 0, table);
        }
    }

    void Clean(string where, string text) => Assert.False(text.Contains(_secret, StringComparison.OrdinalIgnoreCase), $"The secret is in {where}.");

    async Task<Guid> FailedAsync(Guid org)
    {
        var message = Guid.NewGuid();
        var envelope = new
        {
            messageId = message,
            messageType = new[] { "urn:message:Pulse.Contracts.Lifecycle:SuspendOrganization" },
            message = new Dictionary<string, object> { ["operationId"] = Guid.CreateVersion7(), ["orgId"] = org, ["acceptedAt"] = DateTimeOffset.UtcNow, ["note"] = _secret, [_secret] = 1 },
            headers = new Dictionary<string, object> { ["token"] = _secret },
        };
        await using var connection = await new ConnectionFactory { Uri = new Uri(Pulse["PULSE_RABBITMQ"]) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.BasicPublishAsync("", "lifecycle_error", mandatory: true, new BasicProperties
        {
            MessageId = message.ToString(),
            ContentType = "application/vnd.masstransit+json",
            DeliveryMode = DeliveryModes.Persistent,
            Headers = new Dictionary<string, object?>
            {
                ["Authorization"] = $"Bearer {_secret}",
                [_secret] = "a header's name",
                ["MT-Fault-ExceptionType"] = "System.InvalidOperationException",
                ["MT-Fault-Message"] = $"The key {_secret} is unknown",
                ["MT-Fault-StackTrace"] = $"   at Pulse.Worker.Lifecycle.LifecycleConsumer.Consume(String {_secret}) in /src/{_secret}.cs:line 7",
            },
        }, Encoding.UTF8.GetBytes(JsonSerializer.Serialize(envelope)));

        const string sql = "select coalesce((select dead_letter_id from pulse.dead_letters where message_id = $1), '00000000-0000-0000-0000-000000000000')";
        await Eventually.Until(async () => await Pulse.AskAsync<Guid>(sql, message) != Guid.Empty, TimeSpan.FromSeconds(60), "the message is a dead letter");
        return await Pulse.AskAsync<Guid>(sql, message);
    }

    async Task<string> DlqAsync(string key, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(TestServers.Root, "pulse"), ["dlq", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["PULSE_INGRESS_URL"] = Pulse["PULSE_INGRESS_URL"], ["PULSE_ADMIN_KEY"] = key },
        };
        using var script = Process.Start(start)!;
        var said = await Task.WhenAll(script.StandardOutput.ReadToEndAsync(), script.StandardError.ReadToEndAsync());
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode is 0 or 1 or 4, string.Concat(said));
        return string.Concat(said);
    }
}
