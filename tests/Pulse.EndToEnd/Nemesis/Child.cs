using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>A worker or an ingress as a real process of its own, so that kill -9 is kill -9.</summary>
sealed class Child : IAsyncDisposable
{
    static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(3) };

    readonly string _dll;
    readonly string _log;
    readonly Dictionary<string, string> _environment;
    Process? _process;

    /// <param name="name">Its log's name.</param>
    /// <param name="project">Pulse.Worker or Pulse.Ingress.</param>
    /// <param name="urlVariable">The variable with its address.</param>
    /// <param name="environment">What else it is told.</param>
    public Child(string name, string project, string urlVariable, Dictionary<string, string> environment)
    {
        Name = name;
        Url = new Uri($"http://127.0.0.1:{FreePort()}");
        var configuration = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        _dll = Path.Combine(TestServers.Root, "src", project, "bin", configuration, "net10.0", $"{project}.dll");
        _log = Path.Combine(Logs, $"{name}.log");
        _environment = new Dictionary<string, string>(environment) { [urlVariable] = Url.ToString(), ["DOTNET_ENVIRONMENT"] = "Development" };
        File.Delete(_log);
    }

    public static string Logs { get; } = Directory.CreateDirectory(Path.Combine(TestServers.Root, ".pulse", "nemesis")).FullName;

    public string Name { get; }
    public Uri Url { get; }

    public void Start()
    {
        // By way of a shell, for the log; it becomes the process, so that there is nothing else to kill.
        var start = new ProcessStartInfo("/bin/bash", ["-c", "exec dotnet \"$0\" >>\"$1\" 2>&1 </dev/null", _dll, _log]);
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("PULSE_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in _environment)
            start.Environment[name] = value;
        _process = Process.Start(start)!;
    }

    /// <summary>kill -9, and waits until it is gone.</summary>
    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    /// <summary>Waits until it has ended by itself.</summary>
    public async Task DiedAsync()
    {
        await Eventually.Until(() => _process!.HasExited, TimeSpan.FromSeconds(30), $"{Name} died");
        _process!.Dispose();
    }

    public Task ReadyAsync() => Eventually.Until(
        async () =>
        {
            if (_process is { HasExited: true })
                throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"{Name} ended by itself with {_process.ExitCode}: {_log}"));
            try
            {
                using var answer = await Http.GetAsync(new Uri(Url, "/health/ready"));
                return answer.IsSuccessStatusCode;
            }
            catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException)
            {
                return false;
            }
        },
        TimeSpan.FromSeconds(180), $"{Name} got ready");

    public ValueTask DisposeAsync()
    {
        if (_process is { HasExited: false })
            Kill();
        return ValueTask.CompletedTask;
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
