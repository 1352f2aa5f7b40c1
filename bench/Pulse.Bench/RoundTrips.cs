using System.Diagnostics.Metrics;

namespace Pulse.Bench;

/// <summary>
/// Counts this process' round trips to Postgres: Npgsql records one duration for each command or batch that it executes.
/// BEGIN travels with the statement behind it; a commit by <c>NpgsqlTransaction.CommitAsync</c> is not recorded, so whoever calls
/// that adds it here.
/// </summary>
static class RoundTrips
{
    static readonly MeterListener Listener = Listen();
    static long _count;

    public static long Count
    {
        get
        {
            _ = Listener;
            return Interlocked.Read(ref _count);
        }
    }

    public static void Add() => Interlocked.Increment(ref _count);

    static MeterListener Listen()
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Npgsql" && instrument.Name == "db.client.operation.duration")
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => Interlocked.Increment(ref _count));
        listener.Start();
        return listener;
    }
}
