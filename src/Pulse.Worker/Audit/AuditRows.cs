using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Pulse.Worker.Audit;

/// <summary>
/// The rows of <c>pulse.audit_log</c>, one at a time, as COPY … (FORMAT BINARY) sends them. A million of them are looked at within seconds:
/// what is hashed is put together from the bytes that came, and nothing is allocated for a row.
/// </summary>
sealed class AuditRows(Stream copy)
{
    /// <summary>In the order in which they are hashed; the hash that was written, last.</summary>
    public const string Columns = "previous_hash, seq, at, actor, action, org_id, before, after, cause, hash";

    /// <summary>The hash that the first row names as the one before it.</summary>
    public static readonly byte[] BeforeTheFirst = new byte[SHA256.HashSizeInBytes];

    const int PreviousField = 0, SeqField = 1, AtField = 2, OrgField = 5, BeforeField = 6, AfterField = 7, HashField = 9, Fields = 10;
    const int TextLengthOfUuid = 36;

    /// <summary>What Postgres sends of a time are microseconds since then.</summary>
    static readonly long Epoch = (new DateTime(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc) - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    readonly (int At, int Length)[] _fields = new (int, int)[Fields];
    byte[] _buffer = new byte[64 * 1024];
    byte[] _hashed = new byte[4096];
    int _start;
    int _end;
    bool _begun;

    /// <summary>Of the row that was read last.</summary>
    public long Seq => BinaryPrimitives.ReadInt64BigEndian(Field(SeqField));

    /// <summary>What it says its hash is.</summary>
    public ReadOnlySpan<byte> Hash => Field(HashField);

    /// <summary>What it says the hash of the row before it is.</summary>
    public ReadOnlySpan<byte> PreviousHash => Field(PreviousField);

    /// <summary>On to the next row.</summary>
    /// <returns>False when there is none.</returns>
    /// <exception cref="EndOfStreamException">The stream ended within a row.</exception>
    public async ValueTask<bool> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryTake(out var row))
                return row;

            if (_start > 0 && _buffer.Length - _end < _buffer.Length / 2)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                (_start, _end) = (0, _end - _start);
            }

            if (_end == _buffer.Length)
                Array.Resize(ref _buffer, _buffer.Length * 2);
            var read = await copy.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
            if (read == 0)
                throw new EndOfStreamException("The audit log was cut off while it was read.");
            _end += read;
        }
    }

    /// <summary>What its hash must be: as <c>pulse.audit_hash()</c> computes it in the database.</summary>
    public void ComputeHash(Span<byte> hash)
    {
        var previous = PreviousHash;
        // A uuid is sent shorter than its text, the rest is not.
        var most = _fields[HashField].At - _fields[PreviousField].At + TextLengthOfUuid;
        if (_hashed.Length < most)
            _hashed = new byte[Math.Max(most, _hashed.Length * 2)];

        previous.CopyTo(_hashed);
        var length = previous.Length;
        Field(SeqField).CopyTo(_hashed.AsSpan(length));
        length += sizeof(long);
        BinaryPrimitives.WriteInt64BigEndian(_hashed.AsSpan(length), unchecked(BinaryPrimitives.ReadInt64BigEndian(Field(AtField)) + Epoch));
        length += sizeof(long);
        for (var field = AtField + 1; field < HashField; field++)
            length += Append(field, _hashed.AsSpan(length));
        SHA256.HashData(_hashed.AsSpan(0, length), hash);
    }

    // As a text: its length in bytes and its UTF-8; a missing one is the length -1.
    int Append(int field, Span<byte> to)
    {
        var (at, length) = _fields[field];
        if (length < 0)
        {
            BinaryPrimitives.WriteInt32BigEndian(to, -1);
            return sizeof(int);
        }

        var value = _buffer.AsSpan(_start + at, length);
        switch (field)
        {
            case OrgField:
                if (!new Guid(value, bigEndian: true).TryFormat(to[sizeof(int)..], out length))
                    throw new InvalidOperationException("There was no room for a uuid.");
                break;

            case BeforeField or AfterField:
                // The version of jsonb's binary format, and the text.
                if (value[0] != 1)
                    throw new InvalidDataException("This Postgres sends jsonb in a format that is not known.");
                length--;
                value[1..].CopyTo(to[sizeof(int)..]);
                break;

            default:
                value.CopyTo(to[sizeof(int)..]);
                break;
        }

        BinaryPrimitives.WriteInt32BigEndian(to, length);
        return sizeof(int) + length;
    }

    ReadOnlySpan<byte> Field(int field)
    {
        var (at, length) = _fields[field];
        return length < 0 ? [] : _buffer.AsSpan(_start + at, length);
    }

    /// <returns>False when more must be read first.</returns>
    bool TryTake(out bool row)
    {
        row = false;
        if (_fields[HashField] is { At: > 0 } last)
        {
            _start += last.At + Math.Max(last.Length, 0);
            _fields[HashField] = default;
        }

        var came = _buffer.AsSpan(_start, _end - _start);
        if (!_begun)
        {
            // Signature, flags, and the length of an extension.
            const int Header = 19;
            if (came.Length < Header)
                return false;
            _begun = true;
            _start += Header;
            came = came[Header..];
        }

        if (came.Length < sizeof(short))
            return false;
        var fields = BinaryPrimitives.ReadInt16BigEndian(came);
        if (fields == -1)
            return true;
        if (fields != Fields)
            throw new InvalidDataException($"A row of {fields} columns came, not of {Fields}.");

        var at = sizeof(short);
        for (var field = 0; field < Fields; field++)
        {
            if (came.Length - at < sizeof(int))
                return false;
            var length = BinaryPrimitives.ReadInt32BigEndian(came[at..]);
            at += sizeof(int);
            var end = at + Math.Max(length, 0);
            if (came.Length < end)
                return false;
            // The last one is set when all have come: it says that there is a row.
            _fields[field] = (at, length);
            at = end;
        }

        return row = true;
    }
}
