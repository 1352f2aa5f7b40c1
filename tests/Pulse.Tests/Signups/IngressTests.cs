namespace Pulse.Tests.Signups;

/// <summary>A database per class, an ingress per test.</summary>
public abstract class IngressTests(TestPostgres postgres) : IClassFixture<TestPostgres>, IAsyncLifetime
{
    TestIngress? _ingress;

    protected TestPostgres Postgres => postgres;

    protected TestIngress Ingress => _ingress ?? throw new InvalidOperationException("Not started.");

    protected TestClock Clock { get; } = new();

    public virtual async Task InitializeAsync() => _ingress = await StartAsync();

    public virtual async Task DisposeAsync() => await (_ingress?.DisposeAsync() ?? default);

    /// <summary>Another one on the same database.</summary>
    protected Task<TestIngress> StartAsync(params string[] variables) => TestIngress.StartAsync(postgres.IngressAddress, Clock, null, variables);
}
