using Npgsql;

namespace Pulse.Hosting;

/// <summary>Reads libpq's address form, which Npgsql does not, so that psql and Pulse take the same variable.</summary>
public static class PostgresAddress
{
    /// <summary>Reads <c>postgresql://user:password@host:port/database?sslmode=…</c> or Npgsql's <c>Host=…;…</c>.</summary>
    /// <exception cref="ArgumentException">It is neither.</exception>
    /// <exception cref="FormatException">It looks like an address, but is none.</exception>
    public static NpgsqlConnectionStringBuilder Parse(string address)
    {
        if (!address.StartsWith("postgres://", StringComparison.Ordinal) && !address.StartsWith("postgresql://", StringComparison.Ordinal))
            return new NpgsqlConnectionStringBuilder(address);

        if (!Uri.TryCreate(address, UriKind.Absolute, out var url) || url.Host.Length == 0)
            throw new FormatException("no host in it");

        var user = url.UserInfo.Split(':', 2);
        var builder = new NpgsqlConnectionStringBuilder
        {
            Host = url.Host,
            Port = url.Port > 0 ? url.Port : 5432,
            Database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/')),
            Username = Uri.UnescapeDataString(user[0]),
            Password = user.Length > 1 ? Uri.UnescapeDataString(user[1]) : null,
        };

        foreach (var pair in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = pair.Split('=', 2) is [var n, var v] ? (Uri.UnescapeDataString(n), Uri.UnescapeDataString(v)) : (pair, "");
            builder[name switch { "sslmode" => "SSL Mode", "application_name" => "Application Name", "sslrootcert" => "Root Certificate", _ => name }] =
                name == "sslmode" ? value.Replace("-", "", StringComparison.Ordinal) : value;
        }

        return builder;
    }
}
