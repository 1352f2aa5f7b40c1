using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace Pulse.Hosting;

/// <summary>
/// What a process reads from the environment. Every read says what is allowed; what is wrong is collected, so that one
/// start tells of every mistake by the name of its variable.
/// </summary>
public sealed partial class Settings(IConfiguration configuration)
{
    readonly List<string> _mistakes = [];

    /// <summary>Throws <see cref="SettingsException"/> when any value read so far was missing or wrong.</summary>
    public void ThrowIfInvalid()
    {
        if (_mistakes.Count > 0)
            throw new SettingsException(_mistakes);
    }

    /// <summary>A text that must be there.</summary>
    public string Required(string name, string meaning)
    {
        var value = Raw(name);
        if (value is not null)
            return value;

        Mistake(name, $"is not set. It is {meaning}.");
        return "";
    }

    /// <summary>A text that may be left out.</summary>
    public string? Optional(string name) => Raw(name);

    /// <summary><c>true</c> or <c>false</c>.</summary>
    public bool Flag(string name, bool otherwise)
    {
        switch (Raw(name))
        {
            case null: return otherwise;
            case "true": return true;
            case "false": return false;
            case var value:
                Mistake(name, $"is '{value}', but must be true or false.");
                return otherwise;
        }
    }

    /// <summary>A whole number within bounds.</summary>
    public int Number(string name, int otherwise, int least, int most)
    {
        if (Raw(name) is not { } value)
            return otherwise;

        if (int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
            return number;

        Mistake(name, $"is '{value}', but must be a whole number from {least} to {most}.");
        return otherwise;
    }

    /// <summary>An absolute http or https address.</summary>
    public Uri Url(string name, string otherwise)
    {
        var value = Raw(name) ?? otherwise;
        if (Uri.TryCreate(value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https")
            return url;

        Mistake(name, $"is '{value}', but must be an address such as {otherwise}.");
        return new Uri(otherwise);
    }

    /// <summary>
    /// A broker's address, <c>amqp://user:password@host:port/vhost</c> or amqps. The nodes of a cluster stand side by side:
    /// <c>amqp://user:password@host:port,host:port/vhost</c>.
    /// </summary>
    /// <returns>One address for each node, at least one.</returns>
    public IReadOnlyList<Uri> Broker(string name)
    {
        const string form = "amqp://user:password@host:port/vhost, or amqp://user:password@host:port,host:port/vhost for a cluster";
        if (Raw(name) is not { } value)
        {
            Mistake(name, $"is not set. It is RabbitMQ's address, {form}.");
            return [new Uri("amqp://unset")];
        }

        var nodes = BrokerAddress().Match(value) is { Success: true } parts
            ? parts.Groups["host"].Captures.Select(host => Node($"{parts.Groups["before"]}{host}{parts.Groups["after"]}")).ToList()
            : [Node(value)];
        if (nodes.Contains(null))
        {
            // Not the value: it holds a password.
            Mistake(name, $"is not an address such as {form}.");
            return [new Uri("amqp://unset")];
        }

        // MassTransit parts a node's name from its port at the first colon.
        if (nodes.Count > 1 && nodes.Exists(node => node!.HostNameType == UriHostNameType.IPv6))
            Mistake(name, "names several nodes, one of them by an IPv6 address. In a cluster each needs a name, or an IPv4 address.");
        return nodes!;

        static Uri? Node(string address) =>
            Uri.TryCreate(address, UriKind.Absolute, out var url) && url.Scheme is "amqp" or "amqps" && !url.Host.Contains(',', StringComparison.Ordinal) ? url : null;
    }

    [GeneratedRegex(@"^(?<before>amqps?://([^@/]*@)?)(?<host>[^,@/?#]+)(,(?<host>[^,@/?#]+))+(?<after>/[^/]*)?$", RegexOptions.ExplicitCapture)]
    private static partial Regex BrokerAddress();

    /// <summary>A Postgres connection: <c>postgresql://user:password@host:port/database?…</c>, or Npgsql's own <c>Host=…;…</c> form.</summary>
    public NpgsqlConnectionStringBuilder Postgres(string name)
    {
        if (Raw(name) is not { } value)
        {
            Mistake(name, "is not set. It is Postgres' address, postgresql://user:password@host:port/database.");
            return [];
        }

        try
        {
            return PostgresAddress.Parse(value);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            // Not the value: it holds a password.
            Mistake(name, $"is not an address such as postgresql://user:password@host:port/database ({exception.Message})");
            return [];
        }
    }

    /// <summary>Networks in CIDR form, separated by commas.</summary>
    public IReadOnlyList<IPNetwork> Networks(string name)
    {
        var networks = new List<IPNetwork>();
        foreach (var part in (Raw(name) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            // Four numbers or IPv6: "10/8" and "1.2.3" would be read as 0.0.0.0/8 and 1.2.0.3.
            var whole = part.Contains(':', StringComparison.Ordinal) || part.Count(letter => letter == '.') == 3;
            if (whole && IPNetwork.TryParse(part, out var network))
                networks.Add(network);
            else if (whole && IPAddress.TryParse(part, out var address))
                networks.Add(new IPNetwork(address, address.GetAddressBytes().Length * 8));
            else
                Mistake(name, $"has '{part}', which is neither an address nor a network such as 10.0.0.0/8.");
        }

        return networks;
    }

    /// <summary>Notes that a variable's value can't be used, for rules that only its reader knows.</summary>
    public void Mistake(string name, string what) => _mistakes.Add($"{name} {what}");

    // An empty variable is an unset one: that is how a shell and an .env file leave a value out.
    string? Raw(string name) => configuration[name] is { Length: > 0 } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;
}

/// <summary>One or more variables are missing or wrong. The process must not start.</summary>
public sealed class SettingsException(IReadOnlyList<string> mistakes) : Exception(string.Join(Environment.NewLine, mistakes))
{
    /// <summary>One sentence each, starting with the variable's name.</summary>
    public IReadOnlyList<string> Mistakes => mistakes;
}
