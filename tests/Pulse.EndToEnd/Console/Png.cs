using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Pulse.EndToEnd.Console;

/// <summary>A browser packs its pictures quickly. What is kept in the repository is packed well: the same pixels, in one chunk.</summary>
static class Png
{
    const int Signature = 8;

    public static byte[] Smaller(byte[] png)
    {
        using var packed = new MemoryStream();
        using var smaller = new MemoryStream();
        smaller.Write(png.AsSpan(0, Signature));
        for (var at = Signature; at < png.Length;)
        {
            var length = (int)BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at));
            var name = Encoding.ASCII.GetString(png, at + 4, 4);
            var data = png.AsSpan(at + 8, length);
            if (name == "IDAT")
                packed.Write(data);
            else if (name == "IEND")
                Chunk(smaller, "IDAT", Repacked(packed));
            if (name is "IHDR" or "IEND")
                Chunk(smaller, name, data);
            at += length + 12;
        }

        return smaller.Length < png.Length ? smaller.ToArray() : png;
    }

    static byte[] Repacked(MemoryStream packed)
    {
        packed.Position = 0;
        using var result = new MemoryStream();
        using (var pixels = new ZLibStream(packed, CompressionMode.Decompress))
        using (var better = new ZLibStream(result, CompressionLevel.SmallestSize))
            pixels.CopyTo(better);
        return result.ToArray();
    }

    static void Chunk(MemoryStream png, string name, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        png.Write(number);
        byte[] named = [.. Encoding.ASCII.GetBytes(name), .. data];
        png.Write(named);
        BinaryPrimitives.WriteUInt32BigEndian(number, Checksum(named));
        png.Write(number);
    }

    // CRC-32, as PNG has it.
    static uint Checksum(byte[] bytes)
    {
        var checksum = uint.MaxValue;
        foreach (var one in bytes)
        {
            checksum ^= one;
            for (var bit = 0; bit < 8; bit++)
                checksum = (checksum & 1) == 0 ? checksum >> 1 : (checksum >> 1) ^ 0xedb88320;
        }

        return ~checksum;
    }
}
