using System.Security.Cryptography;

namespace Pulse.Worker.Audit;

/// <summary>
/// <c>PULSE_AUDIT_DIR</c>: <c>checkpoints.jsonl</c>, a line each; <c>signing-key.pem</c>, made when it is missing; and
/// <c>public-key.pem</c>, which is all that a verifier needs.
/// </summary>
sealed class CheckpointFiles(string directory)
{
    string Checkpoints => Path.Combine(directory, "checkpoints.jsonl");
    string PrivateKey => Path.Combine(directory, "signing-key.pem");
    string PublicKey => Path.Combine(directory, "public-key.pem");

    public ECDsa OpenSigningKey()
    {
        Directory.CreateDirectory(directory);
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        if (File.Exists(PrivateKey))
        {
            key.ImportFromPem(File.ReadAllText(PrivateKey));
            return key;
        }

        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var writer = new StreamWriter(PrivateKey, options))
            writer.Write(key.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(PublicKey, key.ExportSubjectPublicKeyInfoPem());
        return key;
    }

    /// <returns>Null when there is none.</returns>
    public ECDsa? OpenPublicKey()
    {
        if (!File.Exists(PublicKey))
            return null;

        var key = ECDsa.Create();
        key.ImportFromPem(File.ReadAllText(PublicKey));
        return key;
    }

    // Flushed to the disk: a checkpoint that was lost proves nothing.
    public void Append(Checkpoint checkpoint)
    {
        using var file = new FileStream(Checkpoints, FileMode.Append, FileAccess.Write, FileShare.Read);
        using (var writer = new StreamWriter(file, leaveOpen: true))
            writer.WriteLine(checkpoint.ToLine());
        file.Flush(flushToDisk: true);
    }

    /// <returns>Every line; null stands for one that is no checkpoint.</returns>
    public IReadOnlyList<Checkpoint?> Read() => File.Exists(Checkpoints) ? [.. File.ReadLines(Checkpoints).Select(Checkpoint.Parse)] : [];
}
