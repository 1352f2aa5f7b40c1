using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Testing;

/// <summary>Valid things, each different from all others; change what a test is about: <c>Some.Signup with { … }</c>.</summary>
public static class Some
{
    static int _client = RandomNumberGenerator.GetInt32(1 << 20);

    /// <summary>A signup without a password.</summary>
    public static SignupBody Signup => new() { Email = Email, OrgName = $"Org {Word}" };

    /// <summary>An email address.</summary>
    public static string Email => $"{Word}@example.org";

    /// <summary>An Idempotency-Key.</summary>
    public static string Key => Guid.NewGuid().ToString();

    /// <summary>A password.</summary>
    public static string Password => $"pw-{Word}-{Word}";

    /// <summary>A client's address, from a network that is nobody's.</summary>
    public static string Client
    {
        get
        {
            var number = Interlocked.Increment(ref _client);
            return new IPAddress([10, (byte)(number >> 16), (byte)(number >> 8), (byte)number]).ToString();
        }
    }

    static string Word => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
}

/// <summary>The body of a signup. What is null is left out.</summary>
public sealed record SignupBody
{
    static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>The owner's address.</summary>
    public string? Email { get; init; }

    /// <summary>The owner's password.</summary>
    public string? Password { get; init; }

    /// <summary>The organization's name.</summary>
    public string? OrgName { get; init; }

    /// <summary>As it is sent.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);
}
