using Npgsql;

namespace Pulse.Demo;

/// <summary>Where everything is, from the variables that <c>.pulse/env</c> sets.</summary>
sealed class Surroundings : IDisposable
{
    public required Uri Ingress { get; init; }
    public required Uri Worker { get; init; }
    public required Uri Stripe { get; init; }
    public required Uri RabbitMq { get; init; }

    /// <summary>A key with every scope.</summary>
    public required string AdminKey { get; init; }

    /// <summary>What proxies show to <c>/authz</c>.</summary>
    public required string AuthzKey { get; init; }
    public required NpgsqlDataSource Postgres { get; init; }

    /// <summary>The checkout, for <c>./pulse restart</c>.</summary>
    public required string Root { get; init; }

    /// <summary>The state directory, with the process ids.</summary>
    public required string State { get; init; }

    /// <summary>How far the processes' clock is ahead: <c>./pulse clock</c> writes it.</summary>
    public string Clock => Path.Combine(State, "clock");

    /// <summary>Set where the servers run in containers.</summary>
    public string? ComposeProject { get; init; }

    public HttpClient Http { get; } = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(15) };

    public static Surroundings FromEnvironment() => new()
    {
        Ingress = new Uri(Required("PULSE_INGRESS_URL")),
        Worker = new Uri(Required("PULSE_WORKER_URL")),
        Stripe = new Uri(Required("PULSE_STRIPE_URL")),
        AdminKey = Required("PULSE_ADMIN_KEY"),
        AuthzKey = Required("PULSE_AUTHZ_KEY"),
        RabbitMq = new Uri(Required("PULSE_RABBITMQ")),
        Postgres = NpgsqlDataSource.Create(ConnectionString(new Uri(Required("PULSE_POSTGRES")))),
        Root = Required("PULSE_ROOT"),
        State = Required("PULSE_STATE"),
        ComposeProject = Environment.GetEnvironmentVariable("PULSE_COMPOSE_PROJECT"),
    };

    static string Required(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value
        ? value
        : throw new InvalidOperationException($"{name} is not set. Start the demo with ./pulse demo.");

    static string ConnectionString(Uri address) => new NpgsqlConnectionStringBuilder
    {
        Host = address.Host,
        Port = address.Port,
        Database = address.AbsolutePath.TrimStart('/'),
        Username = address.UserInfo.Split(':')[0],
        Password = address.UserInfo.Split(':')[1],
        MaxPoolSize = 4,
    }.ConnectionString;

    public void Dispose()
    {
        Http.Dispose();
        Postgres.Dispose();
    }
}
