using System.Security.Cryptography;
using System.Text;

namespace Pulse.Messaging.Sagas;

/// <summary>
/// Ids that come out the same however often a saga's step is repeated: the message id of an answer, the idempotency key of
/// an outside call.
/// </summary>
public static class StepId
{
    /// <summary>
    /// The id of one step of one saga: a UUID of version 7 (RFC 9562, section 5.7) with the saga's own time, and SHA-256 of saga and
    /// step where others have random bits. So it lies beside its saga in an index.
    /// </summary>
    /// <param name="saga">The saga's correlation id, of version 7.</param>
    /// <param name="step">The step's frozen name.</param>
    public static Guid Of(Guid saga, string step)
    {
        Span<byte> input = stackalloc byte[16 + Encoding.UTF8.GetMaxByteCount(step.Length)];
        saga.TryWriteBytes(input, bigEndian: true, out var length);
        length += Encoding.UTF8.GetBytes(step, input[16..]);

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(input[..length], hash);
        input[..6].CopyTo(hash);
        hash[6] = (byte)((hash[6] & 0x0F) | 0x70);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}
