using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Npgsql;
using Pulse.Hosting;

namespace Pulse.Bench;

/// <summary>The private servers that <c>./pulse bench</c> started, and the two processes where a benchmark needs them.</summary>
sealed class Servers : IAsyncDisposable
{
    readonly string _root;
    readonly string _state;
    readonly HttpClient _management;
    Dictionary<string, string> _env = [];

    Servers(string root, string state)
    {
        _root = root;
        _state = state;
        ReadEnv();
        var management = new Uri(this["PULSE_RABBITMQ_MANAGEMENT"]);
        _management = new HttpClient { BaseAddress = new Uri(management.GetLeftPart(UriPartial.Scheme) + management.Authority) };
        _management.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Uri.UnescapeDataString(management.UserInfo))));
        Admin = Open(this["PULSE_POSTGRES_ADMIN"], "bench-admin", pool: 4);
    }

    public NpgsqlDataSource Admin { get; }

    public Uri Ingress => new(this["PULSE_INGRESS_URL"]);
    public Uri Worker => new(this["PULSE_WORKER_URL"]);

    /// <summary>What the ingress believes Stripe to sign with.</summary>
    public string WebhookSecret => _env.GetValueOrDefault(SecretName, "whsec_bench");

    /// <summary>Where the database of the two processes is, as Npgsql has it.</summary>
    public string PulseAddress => PostgresAddress.Parse(this["PULSE_POSTGRES"]).ConnectionString;

    /// <summary>The virtual host of the two processes.</summary>
    public Uri Broker => new(this["PULSE_RABBITMQ"]);

    /// <summary>The double of Stripe.</summary>
    public Uri Stripe => new(this["PULSE_STRIPE_URL"]);

    /// <summary>A key with every scope.</summary>
    public string AdminKey => this["PULSE_ADMIN_KEY"];

    const string SecretName = "PULSE_STRIPE_WEBHOOK_SECRET";

    string this[string name] => _env.TryGetValue(name, out var value)
        ? value
        : throw new BenchmarkException($"There is no {name} in {_state}/env. Start the benchmarks with ./pulse bench.");

    public static Servers FromEnvironment() => new(
        Environment.GetEnvironmentVariable("PULSE_ROOT") ?? throw new BenchmarkException("Start the benchmarks with ./pulse bench."),
        Environment.GetEnvironmentVariable("PULSE_STATE") ?? throw new BenchmarkException("Start the benchmarks with ./pulse bench."));

    /// <summary>The process' id, by its file in the state directory.</summary>
    public int Pid(string name) => int.Parse(File.ReadAllText(Path.Combine(_state, "pids", name)).Trim(), CultureInfo.InvariantCulture);

    /// <summary>The database of the two processes, as the owner of its schemas.</summary>
    public NpgsqlDataSource OpenPulse(int pool = 40) => Open(this["PULSE_POSTGRES"], "bench", pool);

    /// <summary>A new, empty database.</summary>
    public async Task<NpgsqlDataSource> NewDatabaseAsync(string name)
    {
        await Admin.RunAsync($"drop database if exists {name} with (force)");
        await Admin.RunAsync($"create database {name} owner pulse_worker");
        var address = PostgresAddress.Parse(this["PULSE_POSTGRES"]);
        address.Database = name;
        return Open(address.ConnectionString, "bench", pool: 80);
    }

    // As the worker's own (src/Pulse.Worker/WorkerOptions.cs): both sides of a comparison get the same.
    static NpgsqlDataSource Open(string postgres, string application, int pool)
    {
        var address = PostgresAddress.Parse(postgres);
        address.ApplicationName = application;
        address.MaxAutoPrepare = 64;
        address.AutoPrepareMinUsages = 2;
        address.NoResetOnClose = true;
        address.MaxPoolSize = pool;
        return NpgsqlDataSource.Create(address.ConnectionString);
    }

    /// <summary>A new, empty virtual host.</summary>
    public async Task<Uri> NewVhostAsync(string name)
    {
        var broker = new Uri(this["PULSE_RABBITMQ"]);
        using var deleted = await _management.DeleteAsync($"/api/vhosts/{name}");
        (await _management.PutAsJsonAsync($"/api/vhosts/{name}", new { })).EnsureSuccessStatusCode();
        var user = Uri.UnescapeDataString(broker.UserInfo.Split(':')[0]);
        (await _management.PutAsJsonAsync($"/api/permissions/{name}/{user}", new { configure = ".*", write = ".*", read = ".*" }))
            .EnsureSuccessStatusCode();
        return new UriBuilder(broker) { Path = name }.Uri;
    }

    public async Task<string> BrokerVersionAsync()
    {
        using var overview = JsonDocument.Parse(await _management.GetStringAsync("/api/overview"));
        return overview.RootElement.GetProperty("rabbitmq_version").GetString()!;
    }

    /// <summary>Starts the worker and the ingress beside the servers, unless they run.</summary>
    public async Task StartProcessesAsync()
    {
        await RunScriptAsync("up", "--detach");
        ReadEnv();
    }

    /// <summary>Stops one process as an operator does, and waits until it is gone.</summary>
    public async Task StopAsync(string name)
    {
        using var process = Process.GetProcessById(Pid(name));
        using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        await process.WaitForExitAsync(patience.Token);
    }

    public Task RestartAsync(string name) => RunScriptAsync("restart", name);

    async Task RunScriptAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(_root, "pulse"), arguments) { RedirectStandardOutput = true };
        start.Environment["PULSE_STATE"] = _state;
        // Addresses in the environment would be taken for wishes.
        foreach (var name in _env.Keys)
            start.Environment.Remove(name);
        // Without one the ingress has no webhook endpoint.
        start.Environment[SecretName] = WebhookSecret;
        // Far above what Stripe allows: how fast Pulse is, and not how long it is told to wait.
        start.Environment["PULSE_STRIPE_RATE_PER_SECOND"] = "1000";
        using var script = Process.Start(start)!;
        var output = await script.StandardOutput.ReadToEndAsync();
        await script.WaitForExitAsync();
        if (script.ExitCode != 0)
            throw new BenchmarkException($"./pulse {string.Join(' ', arguments)} ended with {script.ExitCode}:{Environment.NewLine}{output}");
    }

    void ReadEnv() => _env = File.ReadAllLines(Path.Combine(_state, "env"))
        .Select(line => line.Split('=', 2))
        .Where(parts => parts.Length == 2)
        .ToDictionary(parts => parts[0], parts => parts[1].Trim('\'', '"'));

    public async ValueTask DisposeAsync()
    {
        _management.Dispose();
        await Admin.DisposeAsync();
    }
}
