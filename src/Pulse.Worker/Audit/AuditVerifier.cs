using System.Security.Cryptography;

namespace Pulse.Worker.Audit;

/// <summary>Something that is not as it was written.</summary>
/// <param name="Seq">The row, or the count of the checkpoint.</param>
/// <param name="What">gap, altered, unlinked, cut_off, rewritten, checkpoint_forged or checkpoint_unreadable.</param>
sealed record AuditFinding(long Seq, string What, string Detail);

/// <summary>Walks the chain.</summary>
/// <param name="Entries">How many rows there are.</param>
/// <param name="Head">The last row's hash, hexadecimal.</param>
/// <param name="Checkpoints">How many checkpoints it was held against.</param>
/// <param name="Findings">The first hundred.</param>
sealed record AuditVerification(long Entries, string Head, int Checkpoints, IReadOnlyList<AuditFinding> Findings)
{
    const int Most = 100;

    public bool Holds => Findings.Count == 0;

    /// <param name="rows">All of them, by seq.</param>
    /// <param name="checkpoints">As they were read.</param>
    /// <param name="key">The key that they must be signed with; null when there is none, and no checkpoint to check.</param>
    public static async Task<AuditVerification> RunAsync(
        AuditRows rows, IReadOnlyList<Checkpoint?> checkpoints, ECDsa? key, CancellationToken cancellationToken)
    {
        var findings = new List<AuditFinding>();
        var due = Trusted(checkpoints, key, findings);
        var hash = new byte[SHA256.HashSizeInBytes];
        var head = AuditRows.BeforeTheFirst.ToArray();
        var count = 0L;
        var expected = 1L;
        while (await rows.NextAsync(cancellationToken))
        {
            count++;
            var seq = rows.Seq;
            if (seq != expected)
                Found(seq, "gap", $"after {expected - 1} comes {seq}");
            if (!rows.PreviousHash.SequenceEqual(head))
                Found(seq, "unlinked", "it does not name the hash of the row before it");
            rows.ComputeHash(hash);
            if (!rows.Hash.SequenceEqual(hash))
                Found(seq, "altered", "its content is not what its hash says");
            expected = seq + 1;
            // As it was written, not as it must be: what comes after a row that was altered is not altered.
            if (rows.Hash.Length != head.Length)
                head = new byte[rows.Hash.Length];
            rows.Hash.CopyTo(head);
            if (due.Remove(seq, out var signed) && signed.Head != Convert.ToHexStringLower(head))
                Found(seq, "rewritten", $"the checkpoint of {signed.At:u} has another hash");
        }

        foreach (var missing in due.Values.OrderBy(checkpoint => checkpoint.Count))
            Found(missing.Count, "cut_off", $"at {missing.At:u} there were {missing.Count} entries; that one is gone");
        return new AuditVerification(count, Convert.ToHexStringLower(head), checkpoints.Count, findings);

        void Found(long seq, string what, string detail)
        {
            if (findings.Count < Most)
                findings.Add(new AuditFinding(seq, what, detail));
        }
    }

    static Dictionary<long, Checkpoint> Trusted(IReadOnlyList<Checkpoint?> checkpoints, ECDsa? key, List<AuditFinding> findings)
    {
        var trusted = new Dictionary<long, Checkpoint>();
        for (var line = 0; line < checkpoints.Count; line++)
        {
            if (checkpoints[line] is not { } checkpoint)
                findings.Add(new AuditFinding(line + 1, "checkpoint_unreadable", $"line {line + 1} is no checkpoint"));
            else if (key is null || !checkpoint.IsSignedBy(key))
                findings.Add(new AuditFinding(checkpoint.Count, "checkpoint_forged", $"line {line + 1} is not signed with the key"));
            // Two of one count must agree.
            else if (!trusted.TryAdd(checkpoint.Count, checkpoint) && trusted[checkpoint.Count].Head != checkpoint.Head)
                findings.Add(new AuditFinding(checkpoint.Count, "rewritten", "two checkpoints of this count differ"));
        }

        return trusted;
    }
}
