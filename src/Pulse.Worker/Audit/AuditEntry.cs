using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Worker.Audit;

/// <summary>A row of <c>pulse.audit_log</c>, as it is hashed.</summary>
readonly record struct AuditEntry
{
    public static readonly byte[] BeforeTheFirst = new byte[SHA256.HashSizeInBytes];

    public required long Seq { get; init; }

    /// <summary>Microseconds since 1970.</summary>
    public required long At { get; init; }
    public required string Actor { get; init; }
    public required string Action { get; init; }
    public string? OrgId { get; init; }
    public string? Before { get; init; }
    public string? After { get; init; }
    public string? Cause { get; init; }
    public required byte[] PreviousHash { get; init; }
    public required byte[] Hash { get; init; }

    /// <summary>What its hash must be: computed here, as <c>pulse.audit_hash()</c> does in the database.</summary>
    public byte[] ComputeHash(ArrayBufferWriter<byte> buffer)
    {
        buffer.ResetWrittenCount();
        buffer.Write(PreviousHash);
        Number(buffer, Seq);
        Number(buffer, At);
        Field(buffer, Actor);
        Field(buffer, Action);
        Field(buffer, OrgId);
        Field(buffer, Before);
        Field(buffer, After);
        Field(buffer, Cause);
        return SHA256.HashData(buffer.WrittenSpan);
    }

    static void Number(ArrayBufferWriter<byte> buffer, long number)
    {
        BinaryPrimitives.WriteInt64BigEndian(buffer.GetSpan(sizeof(long)), number);
        buffer.Advance(sizeof(long));
    }

    static void Field(ArrayBufferWriter<byte> buffer, string? value)
    {
        var length = value is null ? -1 : Encoding.UTF8.GetByteCount(value);
        BinaryPrimitives.WriteInt32BigEndian(buffer.GetSpan(sizeof(int)), length);
        buffer.Advance(sizeof(int));
        if (value is not null)
            Encoding.UTF8.GetBytes(value, buffer);
    }
}
