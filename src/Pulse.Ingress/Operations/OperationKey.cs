using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Primitives;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Operations;

/// <summary>A caller's Idempotency-Key: the operation's id follows from it, so that the primary key is what finds a repeat.</summary>
static class OperationKey
{
    public const string Header = "Idempotency-Key";

    /// <param name="header">The header.</param>
    /// <param name="caller">Whose key it is: two callers may choose the same one.</param>
    /// <param name="operationId">Null: no key was sent.</param>
    /// <returns>The refusal of what is no key.</returns>
    public static Problem? Read(StringValues header, Caller caller, out Guid? operationId)
    {
        operationId = null;
        if (header.Count == 0)
            return null;
        if (header is not [{ Length: >= 1 and <= 255 } key] || key.AsSpan().ContainsAnyExceptInRange('!', '~'))
            return Problem.InvalidRequest($"{Header} must be one value of 1 to 255 visible ASCII characters.");

        // Version 8 is the one for ids of one's own making. Nobody can read the key out of it.
        Span<byte> bytes = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes($"pulse operation\n{caller.Actor}\n{key}"), bytes);
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        operationId = new Guid(bytes[..16], bigEndian: true);
        return null;
    }
}
