using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using Pulse.Worker.Hooks;

namespace Pulse.EndToEnd.Hooks;

/// <summary>docs/samples/ProvisioningHook.Sample does what docs/provisioning-hook.md asks of a receiver.</summary>
public sealed class SampleTests
{
    [Fact]
    public async Task It_believes_Pulse_and_nobody_else_and_does_each_call_once()
    {
        var secret = HookReceiver.NewSecret();
        await using var sample = await StartAsync($"{HookReceiver.NewSecret()} {secret}");
        using var pulse = Client(sample.Url, secret);
        using var stranger = Client(sample.Url, HookReceiver.NewSecret());
        var org = Guid.CreateVersion7();

        Assert.Equal(401, (await SendAsync(stranger, "a", "tenant.provision", org)).Status);
        Assert.Equal(204, (await SendAsync(pulse, "a", "tenant.provision", org)).Status);
        Assert.Equal(204, (await SendAsync(pulse, "a", "tenant.provision", org)).Status);
        Assert.Equal(1, sample.Said($"tenant.provision {org}"));

        Assert.Equal(204, (await SendAsync(pulse, "b", "tenant.deprovision", org)).Status);
        Assert.Equal(204, (await SendAsync(pulse, "a", "tenant.provision", org)).Status);
        Assert.Equal(410, (await SendAsync(pulse, "c", "tenant.provision", org)).Status);
        Assert.Equal(1, sample.Said($"tenant.provision {org}"));
    }

    [Fact]
    public async Task It_tells_later_what_it_took_for_later()
    {
        var secret = HookReceiver.NewSecret();
        await using var sample = await StartAsync(secret, ("HOOK_LATER", "true"));
        using var pulse = Client(sample.Url, secret);
        using var told = new HttpListener();
        var callback = $"http://127.0.0.1:{FreePort()}/told/";
        told.Prefixes.Add(callback);
        told.Start();

        Assert.Equal(202, (await SendAsync(pulse, "a", "tenant.provision", Guid.CreateVersion7(), callback)).Status);

        var context = await told.GetContextAsync().WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal("succeeded", (await JsonDocument.ParseAsync(context.Request.InputStream)).RootElement.GetProperty("status").GetString());
        context.Response.StatusCode = 200;
        context.Response.Close();
    }

    static HookClient Client(Uri url, string secret) => new(
        new HookOptions
        {
            Url = new Uri(url, "/hooks/pulse"),
            Secrets = [HookSignature.ReadSecret(secret)!],
            AllowPrivate = true,
            PublicUrl = null,
            Timeout = TimeSpan.FromSeconds(10),
            Attempts = 1,
            Deadline = TimeSpan.FromMinutes(1),
        },
        TimeProvider.System);

    static Task<HookAnswer> SendAsync(HookClient client, string id, string type, Guid org, string? callback = null) => client.PostAsync(
        id, Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new { type, org_id = org, requested_at = DateTime.UtcNow, callback_url = callback })), CancellationToken.None);

    static async Task<Sample> StartAsync(string secret, params (string Name, string Value)[] more)
    {
        var url = new Uri($"http://127.0.0.1:{FreePort()}");
        var dll = Path.Combine(TestServers.Root, "docs/samples/ProvisioningHook.Sample/bin", ChildProcess.Configuration, "net10.0", "ProvisioningHook.Sample.dll");
        var start = new ProcessStartInfo("dotnet", [dll, "--urls", url.ToString()]) { RedirectStandardOutput = true };
        start.Environment["HOOK_SECRET"] = secret;
        foreach (var (name, value) in more)
            start.Environment[name] = value;
        var sample = new Sample(Process.Start(start)!, url);
        await Eventually.Until(() => sample.Said("Now listening") == 1, TimeSpan.FromSeconds(60), "the sample listens");
        return sample;
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    sealed class Sample : IAsyncDisposable
    {
        readonly Process _process;
        readonly List<string> _lines = [];

        public Sample(Process process, Uri url)
        {
            (_process, Url) = (process, url);
            process.OutputDataReceived += (_, line) =>
            {
                lock (_lines)
                    _lines.Add(line.Data ?? "");
            };
            process.BeginOutputReadLine();
        }

        public Uri Url { get; }

        public int Said(string text)
        {
            lock (_lines)
                return _lines.Count(line => line.Contains(text, StringComparison.Ordinal));
        }

        public async ValueTask DisposeAsync()
        {
            _process.Kill();
            await _process.WaitForExitAsync();
            _process.Dispose();
        }
    }
}
