using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Npgsql;
using Pulse.Hosting;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>Worker, ingress and their servers as <c>./pulse up</c> starts them, for every test of the collection, one after the other.</summary>
public sealed class RunningPulse : IAsyncLifetime
{
    static readonly string[] Names = ["postgres", "rabbitmq", "stripe", "worker", "ingress"];

    readonly OwnState _state = new();
    HttpClient? _http;
    NpgsqlDataSource? _worker;
    string[] _lettersBefore = [];

    public Uri Ingress => new(_state["PULSE_INGRESS_URL"]);
    public Uri Worker => new(_state["PULSE_WORKER_URL"]);

    /// <summary>Its state directory.</summary>
    public string State => _state.Folder;

    /// <summary>A variable of the running processes.</summary>
    public string this[string name] => _state[name];

    public async Task InitializeAsync()
    {
        // Built in Release, the tests have built what the script starts: another build beside running tests could only disturb.
        await _state.RunAsync(ChildProcess.Configuration == "Release" ? ["up", "--detach", "--no-build"] : ["up", "--detach"]);
        _http = new HttpClient { BaseAddress = Ingress, Timeout = TimeSpan.FromSeconds(30) };

        // Without a pool: it would hold connections to a server that was killed.
        var address = PostgresAddress.Parse(_state["PULSE_POSTGRES"]);
        address.Pooling = false;
        _worker = NpgsqlDataSource.Create(address);
    }

    public async Task DisposeAsync()
    {
        _http?.Dispose();
        await (_worker?.DisposeAsync() ?? default);
        await _state.RemoveAsync();
    }

    /// <summary>Starts whatever a test before has left dead.</summary>
    public async Task AllRunAsync()
    {
        foreach (var name in Names.Where(name => !_state.Runs(name)))
            await _state.RestartAsync(name);
        try
        {
            _lettersBefore = await AllDeadLettersAsync();
        }
        catch (NpgsqlException)
        {
            // A connection to a Postgres that the test before has killed.
            _lettersBefore = await AllDeadLettersAsync();
        }
    }

    public Task KillAsync(string name) => _state.KillAsync(name);

    public Task StopAsync(string name) => _state.StopAsync(name);

    public Task RestartAsync(string name, params (string Name, string Value)[] variables) => _state.RestartAsync(name, variables);

    public bool Runs(string name) => _state.Runs(name);

    public int Pid(string name) => _state.Pid(name);

    /// <summary>Moves the clock of both processes, <c>+1h</c>, or back to now, <c>reset</c>.</summary>
    public Task ClockAsync(string move) => _state.RunAsync(["clock", move]);

    // --- the ingress --------------------------------------------------------------------------------------------------

    public async Task<HttpResponseMessage> SignupAsync(SignupBody body, string? client = null, string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/public/signup")
        {
            Content = new StringContent(body.ToJson(), Encoding.UTF8, "application/json"),
        };
        request.Headers.Add("X-Forwarded-For", client ?? Some.Client);
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);

        return await _http!.SendAsync(request);
    }

    /// <summary>Signs up, is accepted, and returns the signup's id.</summary>
    public async Task<Guid> AcceptedAsync(SignupBody body, string? client = null, string? key = null)
    {
        using var answer = await SignupAsync(body, client, key);
        return await SignupIdAsync(answer);
    }

    /// <summary>The id in an answer, which has to be 202.</summary>
    public static async Task<Guid> SignupIdAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.Accepted, $"{(int)answer.StatusCode}: {text}");
        return JsonSerializer.Deserialize<JsonElement>(text).GetProperty("signup_id").GetGuid();
    }

    public async Task<(string Status, Guid? OrgId)> StatusAsync(Guid signupId)
    {
        using var answer = await _http!.GetAsync(new Uri($"/api/public/signup/{signupId}", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var status = JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync());
        return (status.GetProperty("status").GetString()!, status.TryGetProperty("org_id", out var org) ? org.GetGuid() : null);
    }

    /// <summary>Waits for a signup's end, which has to be this one.</summary>
    public async Task<Guid?> EndsAsync(Guid signupId, string status, double withinSeconds = 60)
    {
        (string Status, Guid? OrgId) last = default;
        await Eventually.Until(
            async () => (last = await StatusAsync(signupId)).Status is "provisioned" or "existing" or "failed",
            TimeSpan.FromSeconds(withinSeconds), $"signup {signupId} ended");
        Assert.Equal(status, last.Status);
        return last.OrgId;
    }

    /// <summary>A request with a key; without one, that of an operator who may everything.</summary>
    public async Task<HttpResponseMessage> SendAsync(string method, string path, string? json = null, string? key = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        request.Headers.Add("Authorization", $"Bearer {key ?? this["PULSE_ADMIN_KEY"]}");
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");

        return await _http!.SendAsync(request);
    }

    /// <summary>Makes something happen at the double of Stripe.</summary>
    public async Task<JsonElement> StripeAsync(string action, object body)
    {
        using var answer = await _http!.PostAsJsonAsync(new Uri(new Uri(this["PULSE_STRIPE_URL"]), $"/control/{action}"), body);
        var said = await answer.Content.ReadFromJsonAsync<JsonElement>();
        return answer.IsSuccessStatusCode ? said.GetProperty("result") : throw new InvalidOperationException($"/control/{action} is answered {(int)answer.StatusCode}: {said}");
    }

    /// <summary>What <c>./pulse</c> prints for these arguments.</summary>
    public Task<string> ScriptAsync(params string[] arguments) => _state.RunAsync(arguments);

    // --- the database, as the worker's role -----------------------------------------------------------------------------

    /// <summary>The one value of a query.</summary>
    public async Task<T> AskAsync<T>(string sql, params object[] parameters)
    {
        await using var command = Command(sql, parameters);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>How many rows a query has changed.</summary>
    public async Task<int> RunSqlAsync(string sql, params object[] parameters)
    {
        await using var command = Command(sql, parameters);
        return await command.ExecuteNonQueryAsync();
    }

    /// <summary>A connection for what takes more than one statement.</summary>
    public async Task<NpgsqlConnection> ConnectAsync() => await _worker!.OpenConnectionAsync();

    /// <summary>How many of these signups have this status.</summary>
    public Task<long> CountAsync(IEnumerable<Guid> signups, string status) =>
        AskAsync<long>("select count(*) from pulse.signups where signup_id = any($1) and status = $2", signups.ToArray(), status);

    /// <summary>Waits until nothing that is due is left for the broker.</summary>
    public Task DrainedAsync() => Eventually.Until(
        async () => await AskAsync<long>("select count(*) from messaging.outbox where due_at <= now()") == 0, TimeSpan.FromSeconds(60), "the outbox drained");

    NpgsqlCommand Command(string sql, object[] parameters)
    {
        var command = _worker!.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        return command;
    }

    // --- the broker -----------------------------------------------------------------------------------------------------

    /// <summary>How many messages are ready in a queue; null when there is no such queue. Asked of the queue, not of statistics.</summary>
    public async Task<int?> ReadyAsync(string queue)
    {
        await using var connection = await new RabbitMQ.Client.ConnectionFactory { Uri = new Uri(_state["PULSE_RABBITMQ"]) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        try
        {
            return (int)(await channel.QueueDeclarePassiveAsync(queue)).MessageCount;
        }
        catch (RabbitMQ.Client.Exceptions.OperationInterruptedException)
        {
            return null;
        }
    }

    /// <summary>Messages that could not be consumed, as the worker has collected them: endpoint, exception, message id.</summary>
    public async Task<IReadOnlyList<string>> DeadLettersAsync() => [.. (await AllDeadLettersAsync()).Except(_lettersBefore)];

    Task<string[]> AllDeadLettersAsync() => AskAsync<string[]>(
        "select coalesce(array_agg(queue || ' ' || coalesce(exception_type, reason) || ' ' || message_id), '{}') from pulse.dead_letters");

    // --- metrics --------------------------------------------------------------------------------------------------------

    public async Task<string> ScrapeAsync(Uri process) => await _http!.GetStringAsync(new Uri(process, "/metrics"));

    /// <summary>One series' value, named as it stands on the page, labels and all; null when it is not there.</summary>
    public async Task<double?> MetricAsync(Uri process, string series) => Value(await ScrapeAsync(process), series);

    public static double? Value(string page, string series) =>
        page.Split('\n').Where(line => line.StartsWith(series + " ", StringComparison.Ordinal)).ToList() is [var line]
            ? double.Parse(line[(series.Length + 1)..], CultureInfo.InvariantCulture)
            : null;
}

/// <summary>The tests of one Pulse that runs: one after the other, and each finds all of it alive.</summary>
[Collection(nameof(OfRunningPulse))]
public abstract class RunningPulseTests(RunningPulse pulse) : IAsyncLifetime
{
    protected RunningPulse Pulse => pulse;

    public Task InitializeAsync() => pulse.AllRunAsync();

    public virtual Task DisposeAsync() => Task.CompletedTask;
}

/// <summary>Binds the fixture to the collection.</summary>
[CollectionDefinition(nameof(OfRunningPulse))]
public sealed class OfRunningPulse : ICollectionFixture<RunningPulse>;
