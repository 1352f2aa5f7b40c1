using System.Net.Sockets;
using Npgsql;
using Pulse.Messaging;

namespace Pulse.Tests.Messaging;

/// <summary>What is waited out, and what is the message's own fault.</summary>
public sealed class PostgresFailureTests
{
    [Theory]
    [InlineData("08006")] // connection failure
    [InlineData("08001")]
    [InlineData("53300")] // too many connections
    [InlineData("53100")] // disk full
    [InlineData("57P01")] // admin shutdown
    [InlineData("57P02")] // crash shutdown
    [InlineData("57P03")] // cannot connect now
    [InlineData("25006")] // read only, after a fail-over
    public void Postgres_away_is_unavailable(string state) => Assert.True(PostgresFailure.IsUnavailable(Refusal(state)));

    [Theory]
    [InlineData("23502")] // not null
    [InlineData("23505")] // unique
    [InlineData("40001")] // serialization: to be tried again, but at once
    [InlineData("40P01")] // deadlock
    [InlineData("42P01")] // undefined table
    [InlineData("22012")] // division by zero
    [InlineData("57014")] // statement timeout
    [InlineData("42501")] // insufficient privilege
    public void A_refused_statement_is_not(string state) => Assert.False(PostgresFailure.IsUnavailable(Refusal(state)));

    public static TheoryData<Exception> Broken => new()
    {
        new NpgsqlException("Failed to connect", new SocketException((int)SocketError.ConnectionRefused)),
        new NpgsqlException("Exception while reading", new IOException("reset")),
        new NpgsqlException("Exception while reading", new EndOfStreamException()),
        new NpgsqlException("The operation has timed out", new TimeoutException()),
        new NpgsqlException("The connection pool has been exhausted"),
    };

    [Theory]
    [MemberData(nameof(Broken), DisableDiscoveryEnumeration = true)]
    public void A_connection_that_broke_is_unavailable(Exception exception) => Assert.True(PostgresFailure.IsUnavailable(exception));

    [Fact]
    public void It_is_found_however_deep_it_lies()
    {
        Assert.True(PostgresFailure.IsUnavailable(new InvalidOperationException("outer", new AggregateException(new FormatException(), new InvalidOperationException("inner", Refusal("57P01"))))));
        Assert.False(PostgresFailure.IsUnavailable(new InvalidOperationException("outer", Refusal("23505"))));
    }

    [Theory]
    [InlineData("22012", true)] // division by zero
    [InlineData("22P02", true)] // malformed text
    [InlineData("22021", true)] // NUL in a text
    [InlineData("23503", false)] // foreign key: the other row may come
    [InlineData("40001", false)]
    public void Data_that_no_waiting_mends_is_told_apart(string state, bool ofData)
    {
        Assert.Equal(ofData, PostgresFailure.IsOfData(Refusal(state)));
        Assert.Equal(ofData, PostgresFailure.IsOfData(new InvalidOperationException("outer", Refusal(state))));
    }

    [Fact]
    public void Anything_else_is_not()
    {
        Assert.False(PostgresFailure.IsUnavailable(null));
        Assert.False(PostgresFailure.IsUnavailable(new InvalidOperationException()));
        Assert.False(PostgresFailure.IsUnavailable(new TimeoutException()));
        Assert.False(PostgresFailure.IsUnavailable(new IOException()));
    }

    static PostgresException Refusal(string state) => new("refused", "ERROR", "ERROR", state);
}
