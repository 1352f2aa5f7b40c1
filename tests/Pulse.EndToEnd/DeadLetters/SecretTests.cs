using System.Text;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>What a worker's real process says of a letter that holds a secret.</summary>
public sealed class SecretTests : IAsyncLifetime
{
    const string Secret = "sk_live_4711_planted";

    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    ChildProcess? _worker;

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        _worker = ChildProcess.Worker(("PULSE_POSTGRES", _postgres.WorkerAddress), ("PULSE_RABBITMQ", _broker.Address.ToString()));
        await _worker.ReadyAsync();
    }

    public async Task DisposeAsync()
    {
        await (_worker?.DisposeAsync() ?? default);
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
    }

    [Fact]
    public async Task A_secret_in_payload_header_and_exception_is_in_no_log_and_no_metric()
    {
        await Eventually.Until(async () => await _broker.ReadyAsync("provisioning_error") is not null, TimeSpan.FromSeconds(60), "the queues are declared");
        await using (var connection = await new ConnectionFactory { Uri = _broker.Address }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
        {
            foreach (var body in (string[])[$"not an envelope {Secret}", $$$"""{"messageId":"{{{Guid.NewGuid()}}}","messageType":["urn:message:{{{Secret}}}"],"message":{"key":"{{{Secret}}}"}}"""])
            {
                await channel.BasicPublishAsync("", "provisioning_error", mandatory: true, new BasicProperties
                {
                    Persistent = true,
                    Headers = new Dictionary<string, object?>
                    {
                        ["authorization"] = $"Bearer {Secret}",
                        ["MT-Fault-Message"] = $"could not use {Secret}",
                        ["MT-Fault-ExceptionType"] = $"A.{Secret}",
                        ["MT-Fault-StackTrace"] = $"at A.B({Secret})",
                    },
                }, Encoding.UTF8.GetBytes(body));
            }
        }

        await Eventually.Until(async () => await _postgres.AskAsync<long>("select count(*) from pulse.dead_letters") == 2, TimeSpan.FromSeconds(60), "both were collected");
        using var http = new HttpClient();
        var page = "";
        await Eventually.Until(
            async () => (page = await http.GetStringAsync(new Uri(_worker!.Url, "/metrics"))).Contains("pulse_dead_letters{queue=\"provisioning\",status=\"parked\"} 2", StringComparison.Ordinal),
            TimeSpan.FromSeconds(30), "the gauge tells of them");
        Assert.Contains("pulse_replays_total{outcome=\"completed\"} 0", page, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, page, StringComparison.Ordinal);
        Assert.Contains("Collected", _worker!.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, _worker.Output, StringComparison.Ordinal);
        // Without the bodies it is nowhere where it was not put.
        Assert.Equal(0L, await _postgres.AskAsync<long>("select count(*) from pulse.dead_letter_counts_v1 c where strpos(c::text, $1) > 0", Secret));
    }
}
