using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Contracts.Lifecycle;
using Pulse.EndToEnd.Nemesis;
using Pulse.Messaging.Outbox;
using Pulse.Testing;
using Pulse.Worker.Invariants;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.Hooks;

/// <summary>A worker and an ingress as processes of their own, and a platform whose provisioning hook they call.</summary>
public class HookedPulse : IAsyncLifetime
{
    static int _count;

    // Two classes have one each, and at the same time: whoever shared the file would die the other's death.
    readonly string _name = $"hooked-{Interlocked.Increment(ref _count)}";
    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    readonly ConcurrentBag<Guid> _deprovisioned = [];
    Child _worker = null!;
    Child _ingress = null!;
    IConnection? _tap;

    public HookReceiver Receiver { get; private set; } = null!;

    /// <summary>How long the platform has until a signup is given up.</summary>
    protected virtual TimeSpan Deadline => TimeSpan.FromSeconds(20);

    string Points => Path.Combine(Child.Logs, $"{_name}-worker.points");

    /// <summary>Purges that were answered.</summary>
    public IReadOnlyCollection<Guid> Deprovisioned => _deprovisioned;

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        await TapAsync();
        var secret = HookReceiver.NewSecret();
        Receiver = await HookReceiver.StartAsync(secret);
        File.Delete(Points);
        File.Delete($"{Points}.deadly");
        _ingress = new Child($"{_name}-ingress", "Pulse.Ingress", "PULSE_INGRESS_URL", new()
        {
            ["PULSE_POSTGRES"] = _postgres.IngressAddress,
            ["PULSE_HOSTED_MODE"] = "true",
            ["PULSE_TRUSTED_PROXIES"] = "127.0.0.0/8",
        });
        _worker = new Child($"{_name}-worker", "Pulse.Worker", "PULSE_WORKER_URL", new()
        {
            ["PULSE_POSTGRES"] = _postgres.WorkerAddress,
            ["PULSE_RABBITMQ"] = _broker.Address.ToString(),
            ["PULSE_PROVISIONING_OVERDUE_SECONDS"] = "5",
            ["PULSE_PROVISION_HOOK_URL"] = Receiver.Url.AbsoluteUri,
            // While a secret is exchanged: the platform knows the old one only.
            ["PULSE_PROVISION_HOOK_SECRET"] = $"{HookReceiver.NewSecret()} {secret}",
            ["PULSE_HOOK_ALLOW_PRIVATE"] = "true",
            ["PULSE_PUBLIC_URL"] = _ingress.Url.AbsoluteUri,
            ["PULSE_HOOK_TIMEOUT_SECONDS"] = "2",
            ["PULSE_HOOK_ATTEMPTS"] = "3",
            ["PULSE_HOOK_DEADLINE_SECONDS"] = Deadline.TotalSeconds.ToString(CultureInfo.InvariantCulture),
            // Nobody's: a proxy of the environment is not asked.
            ["http_proxy"] = "http://127.0.0.1:9",
            ["DOTNET_STARTUP_HOOKS"] = typeof(StartupHook).Assembly.Location,
            [StartupHook.Variable] = Points,
        });
        _worker.Start();
        _ingress.Start();
        await Task.WhenAll(_worker.ReadyAsync(), _ingress.ReadyAsync());
    }

    public async Task DisposeAsync()
    {
        await _worker.DisposeAsync();
        await _ingress.DisposeAsync();
        await (_tap?.DisposeAsync() ?? default);
        await Receiver.DisposeAsync();
        _http.Dispose();
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
    }

    /// <summary>The platform does what it is told, from now on.</summary>
    public void Platform(Func<HookReceived, HookReply>? reply = null) => Receiver.Reply = reply ?? (_ => new HookReply(200));

    public async Task<Guid> SignUpAsync(SignupBody? signup = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_ingress.Url, "/api/public/signup"))
        {
            Content = new StringContent((signup ?? Some.Signup).ToJson(), Encoding.UTF8, "application/json"),
            Headers = { { "X-Forwarded-For", Some.Client } },
        };
        using var answer = await _http.SendAsync(request);
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("signup_id").GetGuid();
    }

    public async Task<(string Status, Guid? OrgId)> StatusAsync(Guid signupId)
    {
        var status = await _http.GetFromJsonAsync<JsonElement>(new Uri(_ingress.Url, $"/api/public/signup/{signupId}"));
        return (status.GetProperty("status").GetString()!, status.TryGetProperty("org_id", out var org) ? org.GetGuid() : null);
    }

    /// <summary>Waits for a signup's end, which has to be this one.</summary>
    public async Task<Guid?> EndsAsync(Guid signupId, string status)
    {
        (string Status, Guid? OrgId) last = default;
        await Eventually.Until(
            async () => (last = await StatusAsync(signupId)).Status is "provisioned" or "existing" or "failed", TimeSpan.FromSeconds(120), $"signup {signupId} ended");
        Assert.Equal(status, last.Status);
        return last.OrgId;
    }

    /// <summary>The organization that a signup was to be: the platform heard of it.</summary>
    public Task<Guid> OrgOfAsync(Guid signupId) =>
        _postgres.AskAsync<Guid>("select org_id from pulse.hook_calls where signup_id = $1 and type = 'provision' order by created_at limit 1", signupId);

    public Task<T> AskAsync<T>(string sql, params object[] parameters) => _postgres.AskAsync<T>(sql, parameters);

    public Task RunAsync(string sql, params object[] parameters) => _postgres.RunAsync(sql, parameters);

    public async Task<HttpStatusCode> CompleteAsync(Uri callback, string status)
    {
        using var answer = await _http.PostAsJsonAsync(callback, new { status });
        return answer.StatusCode;
    }

    /// <summary>What another slice of the worker would publish.</summary>
    public async Task PublishAsync<T>(T message)
        where T : class
    {
        using var bell = new OutboxBell(_postgres.Worker, NullLogger<OutboxBell>.Instance);
        await using var batch = _postgres.Worker.CreateBatch();
        batch.BatchCommands.Add(new OutboxPublisher(TimeProvider.System, bell).Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    public async Task KillWorkerAsync()
    {
        _worker.Kill();
        await Task.CompletedTask;
    }

    public async Task RestartWorkerAsync()
    {
        _worker.Start();
        await _worker.ReadyAsync();
    }

    /// <summary>The worker dies when it comes to a point for the next time.</summary>
    public async Task DieAtAsync(string point, Func<Task> meanwhile)
    {
        await File.WriteAllTextAsync($"{Points}.deadly", point);
        try
        {
            await meanwhile();
            await _worker.DiedAsync();
        }
        finally
        {
            File.Delete($"{Points}.deadly");
        }

        await RestartWorkerAsync();
    }

    /// <summary>The points that the worker has reached.</summary>
    public IReadOnlySet<string> Reached => File.ReadAllLines(Points).ToHashSet();

    public async Task<double?> MetricAsync(string series) =>
        Processes.RunningPulse.Value(await _http.GetStringAsync(new Uri(_worker.Url, "/metrics")), series);

    /// <summary>Waits until nothing is under way but what a platform keeps refusing, and asks the doctor.</summary>
    public async Task HealthyAtRestAsync()
    {
        DoctorReport? report = null;
        await Eventually.Until(
            async () =>
            {
                report = await Doctor.ExamineAsync(_postgres.Worker, [_broker.Address], new InvariantScope
                {
                    Now = DateTimeOffset.UtcNow,
                    UnfinishedAfter = TimeSpan.Zero,
                    OutboxAfter = TimeSpan.Zero,
                    InboxKept = TimeSpan.FromDays(44),
                });
                return report.Healthy && report.Queues.All(queue => queue.Value == 0);
            },
            TimeSpan.FromSeconds(60), "all is well").ContinueWith(_ => { }, TaskScheduler.Default);
        Assert.True(report!.Healthy && report.Queues.All(queue => queue.Value == 0), report.ToTable());
        Assert.Empty(Receiver.Invalid);
    }

    // What the purge will consume: without a queue the answer would route nowhere.
    async Task TapAsync()
    {
        _tap = await new ConnectionFactory { Uri = _broker.Address }.CreateConnectionAsync();
        var channel = await _tap.CreateChannelAsync();
        var exchange = $"{typeof(TenantDeprovisioned).Namespace}:{nameof(TenantDeprovisioned)}";
        await channel.ExchangeDeclareAsync(exchange, ExchangeType.Fanout, durable: true);
        var queue = (await channel.QueueDeclareAsync()).QueueName;
        await channel.QueueBindAsync(queue, exchange, "");
        var consumer = new RabbitMQ.Client.Events.AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += (_, delivered) =>
        {
            _deprovisioned.Add(JsonDocument.Parse(delivered.Body).RootElement.GetProperty("message").GetProperty("purgeId").GetGuid());
            return Task.CompletedTask;
        };
        await channel.BasicConsumeAsync(queue, autoAck: true, consumer);
    }
}
