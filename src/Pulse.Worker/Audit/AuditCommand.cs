using System.Text.Json;
using Npgsql;
using Pulse.Hosting;

namespace Pulse.Worker.Audit;

/// <summary><c>Pulse.Worker.dll audit verify</c>: walks the whole chain and holds it against every checkpoint. Changes nothing.</summary>
static class AuditCommand
{
    static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    /// <param name="args"><c>verify</c>, and <c>--json</c>.</param>
    /// <param name="output">Where it is printed.</param>
    /// <returns>0 when everything is as it was written, 1 when not, 2 for an argument that it does not know.</returns>
    /// <exception cref="SettingsException">A variable is missing or wrong.</exception>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output)
    {
        if (args is not (["verify"] or ["verify", "--json"]))
        {
            await output.WriteLineAsync("audit verify [--json] is what there is.");
            return 2;
        }

        PulseProcess.CreateBuilder([], out var settings, "PULSE_WORKER_URL", "http://127.0.0.1:8081");
        var worker = WorkerOptions.Read(settings);
        var options = AuditOptions.Read(settings);
        settings.ThrowIfInvalid();
        // Hundreds of megabytes come: at the usual 8 kB for each call of the system, the calls cost more than the hashes.
        worker.Postgres.ReadBufferSize = 64 * 1024;
        await using var dataSource = NpgsqlDataSource.Create(worker.Postgres);

        var files = options.Directory is null ? null : new CheckpointFiles(options.Directory);
        using var key = files?.OpenPublicKey();
        await using var connection = await dataSource.OpenConnectionAsync();
        await using var rows = await AuditTable.OpenAsync(connection, CancellationToken.None);
        var verification = await AuditVerification.RunAsync(new AuditRows(rows), files?.Read() ?? [], key, CancellationToken.None);
        await output.WriteLineAsync(args.Contains("--json") ? JsonSerializer.Serialize(verification, Json) : Describe(verification, options.Directory));
        return verification.Holds ? 0 : 1;
    }

    static string Describe(AuditVerification verification, string? directory)
    {
        var text = new StringWriter();
        text.WriteLine($"{verification.Entries} entries, head {verification.Head}");
        text.WriteLine(directory is null
            ? "no checkpoints: PULSE_AUDIT_DIR is not set, so a cut-off end would not show"
            : $"{verification.Checkpoints} checkpoints in {directory}");
        foreach (var finding in verification.Findings)
            text.WriteLine($"  {finding.Seq,10}  {finding.What}: {finding.Detail}");
        text.Write(verification.Holds ? "Everything is as it was written." : $"{verification.Findings.Count} findings. Keep the database as it is, and compare it with a backup.");
        return text.ToString();
    }
}
