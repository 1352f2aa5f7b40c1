using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>A built worker or ingress as a child of the test, which so gets to see its exit code.</summary>
sealed class ChildProcess : IAsyncDisposable
{
    readonly Process _process;
    readonly ConcurrentQueue<string> _lines = new();

    ChildProcess(Process process, Uri url)
    {
        _process = process;
        Url = url;
    }

    /// <summary>Where it listens, or would.</summary>
    public Uri Url { get; }

    /// <summary>All it has said so far.</summary>
    public string Output => string.Join('\n', _lines);

    public bool Running => !_process.HasExited;

    public static ChildProcess Worker(params (string Name, string? Value)[] variables) => Start("Pulse.Worker", "PULSE_WORKER_URL", variables);

    public static ChildProcess Ingress(params (string Name, string? Value)[] variables) => Start("Pulse.Ingress", "PULSE_INGRESS_URL", variables);

    static ChildProcess Start(string project, string urlVariable, (string Name, string? Value)[] variables)
    {
        var url = variables.FirstOrDefault(variable => variable.Name == urlVariable).Value ?? $"http://127.0.0.1:{FreePort()}";
        var start = new ProcessStartInfo("dotnet", [Dll(project)]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("PULSE_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        start.Environment["DOTNET_ENVIRONMENT"] = start.Environment["ASPNETCORE_ENVIRONMENT"] = "Production";
        // A process that dies of an exception has said why: no core dump on top.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        start.Environment[urlVariable] = url;
        foreach (var (name, value) in variables)
            start.Environment[name] = value;

        var child = new ChildProcess(new Process { StartInfo = start }, new Uri(url, UriKind.RelativeOrAbsolute));
        child._process.OutputDataReceived += (_, line) => child.Heard(line.Data);
        child._process.ErrorDataReceived += (_, line) => child.Heard(line.Data);
        child._process.Start();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>The test's own copy would not run by itself: what the project left in its own folder, in the same configuration.</summary>
    static string Dll(string project) =>
        Path.Combine(TestServers.Root, "src", project, "bin", Configuration, "net10.0", $"{project}.dll");

    /// <summary>What the tests were built as, and so what their processes were.</summary>
    public static string Configuration { get; } = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;

    /// <summary>Waits until it is ready; fails at once when it ends instead.</summary>
    public Task ReadyAsync() => Eventually.Until(
        async () =>
        {
            Assert.True(Running, $"It ended instead of getting ready:\n{Output}");
            return await Health.ReadyAsync(Url) is HttpStatusCode.OK;
        },
        TimeSpan.FromSeconds(60), "the process got ready");

    /// <summary>SIGTERM.</summary>
    public void Terminate() => Signal.Terminate(_process.Id);

    /// <summary>Waits for its end, and returns the exit code.</summary>
    public async Task<int> EndAsync(TimeSpan within)
    {
        using var deadline = new CancellationTokenSource(within);
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"It did not end within {within.TotalSeconds} s:\n{Output}");
        }

        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (Running)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    void Heard(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>What a process says of itself.</summary>
static class Health
{
    static readonly HttpClient Http = new(new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(10) };

    /// <summary>The status of <c>/health/ready</c>; null when nobody answers.</summary>
    public static async Task<HttpStatusCode?> ReadyAsync(Uri process)
    {
        try
        {
            using var answer = await Http.GetAsync(new Uri(process, "/health/ready"));
            return answer.StatusCode;
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException)
        {
            return null;
        }
    }
}
