using System.Net;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Contracts.Hooks;
using Pulse.Messaging;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

/// <summary>Calls, a platform that receives them, a real database, a clock that jumps from timer to timer, and an ingress that is told how they ended.</summary>
sealed class HookBed(TestPostgres postgres, HookReceiver receiver, TestIngress ingress, TestClock clock, string secret) : IAsyncDisposable
{
    readonly List<(DateTimeOffset DueAt, Guid CallId)> _timers = [];
    readonly List<HookClient> _clients = [];
    readonly HashSet<Guid> _calls = [];

    public HookReceiver Receiver => receiver;
    public TestIngress Ingress => ingress;
    public TestClock Clock => clock;

    /// <summary>What was answered to who waits: the call's type, and whether it succeeded.</summary>
    public List<(HookCall Call, bool Succeeded)> Ends { get; } = [];

    /// <summary>In words of the metric.</summary>
    public List<string> Outcomes { get; } = [];

    public Func<string, Task>? AtPoint { get; set; }

    public static async Task<HookBed> StartAsync(TestPostgres postgres)
    {
        var secret = HookReceiver.NewSecret();
        var clock = new TestClock();
        var receiver = await HookReceiver.StartAsync(secret);
        receiver.Clock = clock;
        return new HookBed(postgres, receiver, await TestIngress.StartAsync(postgres.IngressAddress, clock), clock, secret);
    }

    public HookOptions Options(Uri? url = null, bool callback = true, string? newSecret = null) => new()
    {
        Url = url ?? receiver.Url,
        Secrets = [.. new[] { newSecret, secret }.OfType<string>().Select(text => HookSignature.ReadSecret(text)!)],
        AllowPrivate = true,
        PublicUrl = callback ? ingress.Http.BaseAddress : null,
        // A machine that is busy answers late, too.
        Timeout = TimeSpan.FromSeconds(3),
        Attempts = 4,
        Deadline = TimeSpan.FromMinutes(15),
    };

    /// <summary>A worker: <paramref name="options"/> are those of the bed unless it is told others.</summary>
    public HookCaller Worker(HookOptions? options = null)
    {
        options ??= Options();
        var client = new HookClient(options, clock);
        _clients.Add(client);
        return new HookCaller(
            postgres.Worker, client, options,
            new MessagingOptions { Broker = new Uri("amqp://nobody"), AtPoint = point => AtPoint?.Invoke(point) ?? Task.CompletedTask }, clock, NullLogger<HookCaller>.Instance);
    }

    /// <summary>A new provision, as the saga's command opens it.</summary>
    public Task<NewHookCall> ProvisionAsync() =>
        OpenAsync(NewHookCall.ForProvision(Guid.CreateVersion7(Clock.GetUtcNow()), Guid.CreateVersion7(Clock.GetUtcNow()), Clock.GetUtcNow() + Options().Deadline, Clock.GetUtcNow()));

    public Task<NewHookCall> PurgeAsync() =>
        OpenAsync(NewHookCall.ForPurge(Guid.CreateVersion7(Clock.GetUtcNow()), Guid.CreateVersion7(Clock.GetUtcNow()), Clock.GetUtcNow()));

    async Task<NewHookCall> OpenAsync(NewHookCall call)
    {
        await using var connection = await postgres.Worker.OpenConnectionAsync();
        await HookCallTable.OpenAsync(connection, call, CancellationToken.None);
        _timers.Add((call.NextAt, call.CallId));
        _calls.Add(call.CallId);
        return call;
    }

    /// <summary>As the consumer does: one transaction that begins when it is needed, and is committed in the end.</summary>
    public async Task<HookEnd> ContinueAsync(HookCaller worker, Guid callId)
    {
        NpgsqlConnection? connection = null;
        NpgsqlTransaction? transaction = null;
        try
        {
            var end = await worker.RunAsync(callId, async cancellationToken =>
            {
                connection = await postgres.Worker.OpenConnectionAsync(cancellationToken);
                transaction = await connection.BeginTransactionAsync(cancellationToken);
                return connection;
            }, CancellationToken.None);
            if (transaction is not null)
                await transaction.CommitAsync();

            if (end.Timer is { } dueAt)
                _timers.Add((dueAt, callId));
            if (end.Next is { } next)
            {
                _timers.Add((next.NextAt, next.CallId));
                _calls.Add(next.CallId);
            }

            if (end.Step is HookStep.Succeed or HookStep.Fail)
                Ends.Add((end.Call!, end.Step is HookStep.Succeed));
            Outcomes.AddRange(end.Outcomes);
            return end;
        }
        finally
        {
            await (transaction?.DisposeAsync() ?? default);
            await (connection?.DisposeAsync() ?? default);
        }
    }

    /// <summary>Moves the clock from timer to timer until none is left, or a number of steps is over.</summary>
    public async Task DrainAsync(HookCaller worker, int most = 200)
    {
        for (var step = 0; step < most && _timers.Count > 0; step++)
        {
            var next = _timers.MinBy(timer => timer.DueAt);
            _timers.Remove(next);
            if (next.DueAt > Clock.GetUtcNow())
                Clock.Advance(next.DueAt - Clock.GetUtcNow() + TimeSpan.FromMilliseconds(1));
            await ContinueAsync(worker, next.CallId);
        }
    }

    public void Forget() => _timers.Clear();

    /// <summary>Tells ingress how a call ended.</summary>
    public async Task<HttpStatusCode> CompleteAsync(Uri callback, string status, string? reason = null)
    {
        var body = reason is null ? $$"""{"status":"{{status}}"}""" : $$"""{"status":"{{status}}","reason":"{{reason}}"}""";
        using var answer = await ingress.Http.PostAsync(callback, new StringContent(body, Encoding.UTF8, "application/json"));
        return answer.StatusCode;
    }

    /// <summary>Continues what ingress has put into the outbox.</summary>
    public async Task<int> BringCompletionsAsync(HookCaller worker)
    {
        var calls = new List<Guid>();
        await using (var command = postgres.Worker.CreateCommand("delete from messaging.outbox where exchange = $1 returning body"))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = $"{typeof(HookCallCompleted).Namespace}:{nameof(HookCallCompleted)}" });
            await using var row = await command.ExecuteReaderAsync();
            while (await row.ReadAsync())
                calls.Add(System.Text.Json.JsonDocument.Parse(row.GetFieldValue<byte[]>(0)).RootElement.GetProperty("message").GetProperty("callId").GetGuid());
        }

        // The database is the class's: another test may have left its own.
        calls.RemoveAll(call => !_calls.Contains(call));
        foreach (var call in calls)
            await ContinueAsync(worker, call);
        return calls.Count;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            client.Dispose();
        await ingress.DisposeAsync();
        await receiver.DisposeAsync();
    }
}
