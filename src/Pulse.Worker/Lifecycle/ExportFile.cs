using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Pulse.Worker.Lifecycle;

/// <summary>What was written.</summary>
sealed record Exported(byte[] Sha256, long Bytes);

/// <summary>
/// One organization as one JSON document, <c>{org_id}.{purge_id}.json</c>: there whole and on the disk, or not at all. Written again, it takes the
/// place of what was there.
/// </summary>
static class ExportFile
{
    public static string PathOf(string directory, Guid orgId, Guid purgeId) => Path.Combine(directory, $"{orgId}.{purgeId}.json");

    /// <param name="directory">Where to; made if it is missing.</param>
    /// <param name="rows">Table and row, the rows of one table together.</param>
    /// <exception cref="IOException">It could not be written; nothing is left of it.</exception>
    /// <exception cref="UnauthorizedAccessException">Nor may it be.</exception>
    public static async Task<Exported> WriteAsync(
        string directory, Guid orgId, Guid purgeId, DateTimeOffset now, IAsyncEnumerable<(string Place, string Body)> rows, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(directory);
        var temporary = Path.Combine(directory, $".{orgId}.{Guid.CreateVersion7(now):N}.tmp");
        try
        {
            var exported = await WriteAsync(temporary, orgId, now, rows, cancellationToken);
            File.Move(temporary, PathOf(directory, orgId, purgeId), overwrite: true);
            Flush(directory);
            return exported;
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    static async Task<Exported> WriteAsync(string path, Guid orgId, DateTimeOffset now, IAsyncEnumerable<(string Place, string Body)> rows, CancellationToken cancellationToken)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 64 * 1024, Options = FileOptions.Asynchronous };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        await using var file = new FileStream(path, options);
        using var sha256 = SHA256.Create();
        await using (var hashed = new CryptoStream(file, sha256, CryptoStreamMode.Write, leaveOpen: true))
        await using (var json = new Utf8JsonWriter(hashed, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("format", "pulse-organization-1");
            json.WriteString("org_id", orgId);
            json.WriteString("exported_at", now);
            json.WriteStartObject("tables");
            string? table = null;
            await foreach (var (place, body) in rows.WithCancellation(cancellationToken))
            {
                if (place != table)
                {
                    if (table is not null)
                        json.WriteEndArray();
                    json.WriteStartArray(table = place);
                }

                json.WriteRawValue(Encoding.UTF8.GetBytes(body));
                if (json.BytesPending > 64 * 1024)
                    await json.FlushAsync(cancellationToken);
            }

            if (table is not null)
                json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        file.Flush(flushToDisk: true);
        return new Exported(sha256.Hash!, file.Length);
    }

    // The name is on the disk when the directory is.
    static void Flush(string directory)
    {
        if (OperatingSystem.IsWindows())
            return;

        var handle = Open(directory, 0);
        if (handle < 0)
            throw new IOException($"The directory of exports can't be opened: error {Marshal.GetLastPInvokeError()}.");
        try
        {
            if (Synchronize(handle) != 0)
                throw new IOException($"The directory of exports can't be written to the disk: error {Marshal.GetLastPInvokeError()}.");
        }
        finally
        {
            _ = Close(handle);
        }
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    static extern int Synchronize(int handle);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    static extern int Close(int handle);
}
