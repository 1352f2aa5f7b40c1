using System.Diagnostics;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using Pulse.Worker.Audit;

namespace Pulse.EndToEnd.Audit;

/// <summary>What <c>./pulse audit verify</c> runs, against the checkpoints that a worker wrote.</summary>
public sealed class AuditCommandTests : IAsyncLifetime
{
    readonly TestPostgres _postgres = new();
    readonly string _directory = Directory.CreateTempSubdirectory("pulse-audit-").FullName;

    public Task InitializeAsync() => _postgres.InitializeAsync();

    public async Task DisposeAsync()
    {
        await _postgres.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task An_end_that_was_cut_off_shows_against_the_checkpoint_that_a_worker_wrote()
    {
        for (var i = 0; i < 3; i++)
            await _postgres.RunAsync("select pulse.append_audit(now(), 'key:a', 'organization_suspended', null, null, null, null)");
        await CheckpointAsync();

        var (whole, told) = await VerifyAsync();
        Assert.True(whole == 0, told);
        var verification = JsonSerializer.Deserialize<JsonElement>(told);
        Assert.Equal((3L, 1), (verification.GetProperty("entries").GetInt64(), verification.GetProperty("checkpoints").GetInt32()));

        await _postgres.RunAsync("grant delete on pulse.audit_log to pulse_worker; alter table pulse.audit_log disable trigger all; delete from pulse.audit_log where seq = 3");
        var (cut, found) = await VerifyAsync();
        Assert.Equal(1, cut);
        Assert.Contains("cut_off", found, StringComparison.Ordinal);
    }

    async Task CheckpointAsync()
    {
        var options = new AuditOptions { Directory = _directory, CheckpointEvery = TimeSpan.FromMinutes(1) };
        using var writer = new CheckpointWriter(_postgres.Worker, options, TimeProvider.System, NullLogger<CheckpointWriter>.Instance);
        await writer.StartAsync(CancellationToken.None);
        var file = Path.Combine(_directory, "checkpoints.jsonl");
        await Eventually.Until(() => File.Exists(file) && new FileInfo(file).Length > 0, TimeSpan.FromSeconds(10), "a checkpoint is written");
        await writer.StopAsync(CancellationToken.None);
    }

    async Task<(int Code, string Said)> VerifyAsync()
    {
        var dll = Path.Combine(TestServers.Root, "src/Pulse.Worker/bin", ChildProcess.Configuration, "net10.0/Pulse.Worker.dll");
        var start = new ProcessStartInfo("dotnet", [dll, "audit", "verify", "--json"]) { RedirectStandardOutput = true };
        start.Environment["PULSE_POSTGRES"] = _postgres.WorkerAddress;
        start.Environment["PULSE_RABBITMQ"] = "amqp://nobody@127.0.0.1:1/none";
        start.Environment["PULSE_AUDIT_DIR"] = _directory;
        using var process = Process.Start(start)!;
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, said);
    }
}
