using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Configuration;
using Pulse.Hosting;

namespace Pulse.Tests.Hosting;

public sealed class SettingsTests
{
    [Fact]
    public void Every_mistake_is_told_at_once_and_by_its_variables_name()
    {
        var settings = With(("PULSE_A", "yes"), ("PULSE_B", "11"), ("PULSE_C", "x"), ("PULSE_D", "not an address"), ("PULSE_E", "1.2.3"));
        settings.Flag("PULSE_A", false);
        settings.Number("PULSE_B", 1, 0, 10);
        settings.Url("PULSE_C", "http://localhost");
        settings.Broker("PULSE_D");
        settings.Networks("PULSE_E");
        settings.Required("PULSE_F", "what it is");

        var mistakes = Assert.Throws<SettingsException>(settings.ThrowIfInvalid).Mistakes;

        Assert.Equal(["PULSE_A", "PULSE_B", "PULSE_C", "PULSE_D", "PULSE_E", "PULSE_F"], mistakes.Select(mistake => mistake.Split(' ')[0]));
    }

    [Fact]
    public void An_empty_variable_is_an_unset_one()
    {
        var settings = With(("PULSE_A", ""), ("PULSE_B", "  "));

        Assert.True(settings.Flag("PULSE_A", otherwise: true));
        Assert.Equal(7, settings.Number("PULSE_B", otherwise: 7, least: 0, most: 9));
        Assert.Null(settings.Optional("PULSE_A"));
        Assert.Empty(settings.Networks("PULSE_B"));
        settings.ThrowIfInvalid();
    }

    [Fact]
    public void A_number_is_taken_within_its_bounds_only() =>
        Prop.ForAll<int>(number =>
        {
            var settings = With(("PULSE_N", number.ToString(CultureInfo.InvariantCulture)));
            var read = settings.Number("PULSE_N", otherwise: -1, least: -5, most: 20);
            return number is >= -5 and <= 20 ? read == number : read == -1 && Record.Exception(settings.ThrowIfInvalid) is SettingsException;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("10.0.0.1/8, ::1 ,192.0.2.7", new[] { "10.0.0.0/8", "::1/128", "192.0.2.7/32" })]
    [InlineData("", new string[0])]
    public void Networks_are_read(string value, string[] expected) =>
        Assert.Equal(expected, With(("PULSE_N", value)).Networks("PULSE_N").Select(network => network.ToString()));

    [Theory]
    [InlineData("amqp://pulse:p%40ss@rabbit:5672/pulse", new[] { "amqp://pulse:p%40ss@rabbit:5672/pulse" })]
    [InlineData("amqps://pulse:a,b@one,two:5673,10.0.0.3/pulse", new[] { "amqps://pulse:a,b@one/pulse", "amqps://pulse:a,b@two:5673/pulse", "amqps://pulse:a,b@10.0.0.3/pulse" })]
    [InlineData("amqp://pulse:a,b@one/pulse", new[] { "amqp://pulse:a,b@one/pulse" })]
    [InlineData("amqp://one,two", new[] { "amqp://one/", "amqp://two/" })]
    [InlineData("amqp://pulse:secret@[::1]:5672/pulse", new[] { "amqp://pulse:secret@[::1]:5672/pulse" })]
    public void A_brokers_nodes_are_read(string value, string[] expected)
    {
        var settings = With(("PULSE_N", value));
        Assert.Equal(expected, settings.Broker("PULSE_N").Select(node => node.ToString()));
        settings.ThrowIfInvalid();
    }

    [Theory]
    [InlineData("amqp://pulse:secret@one,,two/pulse")]
    [InlineData("amqp://pulse:secret@one,two:port/pulse")]
    [InlineData("amqp://pulse:secret@one,amqp://two/pulse")]
    [InlineData("amqp://pulse:secret@[::1],[::2]/pulse")]
    [InlineData("http://one,two")]
    public void What_is_no_broker_is_refused_and_no_password_is_told(string value)
    {
        var settings = With(("PULSE_N", value));
        settings.Broker("PULSE_N");
        var mistake = Assert.Single(Assert.Throws<SettingsException>(settings.ThrowIfInvalid).Mistakes);
        Assert.StartsWith("PULSE_N ", mistake, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", mistake, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10")]
    [InlineData("1.2.3")]
    [InlineData("10/8")]
    [InlineData("10.0.0.0/33")]
    [InlineData("*")]
    public void What_is_no_network_is_refused(string value)
    {
        var settings = With(("PULSE_N", value));
        Assert.Empty(settings.Networks("PULSE_N"));
        Assert.Throws<SettingsException>(settings.ThrowIfInvalid);
    }

    [Theory]
    [InlineData("postgresql://user:p%40ss%3Aword@db.example:6432/name?sslmode=verify-full&application_name=x&Maximum%20Pool%20Size=3", "db.example", 6432, "name", "user", "p@ss:word")]
    [InlineData("postgres://user@[::1]/name", "[::1]", 5432, "name", "user", null)]
    [InlineData("Host=h;Database=name;Username=user;Password=p", "h", 5432, "name", "user", "p")]
    public void Both_forms_of_a_Postgres_address_are_read(string address, string host, int port, string database, string user, string? password)
    {
        var read = PostgresAddress.Parse(address);

        Assert.Equal((host, port, database, user, password), (read.Host, read.Port, read.Database, read.Username, read.Password));
    }

    [Theory]
    [InlineData("postgresql://")]
    [InlineData("postgresql://user:se same@/name")]
    [InlineData("postgresql://user:sesame@host/name?nonsense=1")]
    [InlineData("host with spaces")]
    [InlineData("postgresql://user:sesame@host:99999/name")]
    public void A_wrong_Postgres_address_is_named_without_its_password(string address)
    {
        var settings = With(("PULSE_POSTGRES", address));
        settings.Postgres("PULSE_POSTGRES");

        var mistake = Assert.Single(Assert.Throws<SettingsException>(settings.ThrowIfInvalid).Mistakes);

        Assert.StartsWith("PULSE_POSTGRES ", mistake, StringComparison.Ordinal);
        Assert.DoesNotContain("same", mistake, StringComparison.Ordinal);
    }

    static Settings With(params (string Name, string Value)[] variables) =>
        new(new ConfigurationBuilder().AddInMemoryCollection(variables.ToDictionary(v => v.Name, v => (string?)v.Value)).Build());
}
