using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Worker.Audit;

/// <summary>
/// How long the audit log was at a time, and its head: signed, and kept outside the database, so that cutting off its end, or writing
/// it anew as a whole, shows.
/// </summary>
sealed record Checkpoint
{
    static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };

    public required long Count { get; init; }
    public required string Head { get; init; }
    public required DateTimeOffset At { get; init; }

    /// <summary>ECDSA (FIPS 186-5) over P-256 with SHA-256, of the line as <see cref="Signed"/> has it.</summary>
    public required string Signature { get; init; }

    public static Checkpoint Sign(ECDsa key, long count, byte[] head, DateTimeOffset at)
    {
        var unsigned = new Checkpoint { Count = count, Head = Convert.ToHexStringLower(head), At = at, Signature = "" };
        return unsigned with { Signature = Convert.ToBase64String(key.SignData(unsigned.Signed(), HashAlgorithmName.SHA256)) };
    }

    public bool IsSignedBy(ECDsa key)
    {
        var signature = new byte[128];
        return Convert.TryFromBase64String(Signature, signature, out var length)
            && key.VerifyData(Signed(), signature.AsSpan(0, length), HashAlgorithmName.SHA256);
    }

    public string ToLine() => JsonSerializer.Serialize(this, Json);

    /// <returns>Null when the line is none.</returns>
    public static Checkpoint? Parse(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<Checkpoint>(line, Json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    byte[] Signed() => Encoding.UTF8.GetBytes(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"pulse-audit-checkpoint-v1\n{Count}\n{Head}\n{At.UtcTicks}"));
}
