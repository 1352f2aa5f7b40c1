using Npgsql;
using Pulse.Messaging;
using Pulse.Messaging.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>Stores what the queues of dead letters give: all that wait in one transaction, and each some way or other.</summary>
sealed partial class LetterStore(NpgsqlDataSource dataSource, TimeProvider clock, ILogger<LetterStore> log)
{
    /// <summary>Failed replays of one letter, from which on no filter replays it any more.</summary>
    public const int QuarantineAfter = 3;

    /// <summary>Returns when all of them are committed.</summary>
    public async Task StoreAsync(IReadOnlyList<DeadLetterDelivery> deliveries, CancellationToken cancellationToken)
    {
        var letters = deliveries.Select(LetterReading.Read).ToList();
        // The same message may be there twice, with another failure each time: one after the other.
        while (letters.Count > 0)
        {
            var turn = letters.DistinctBy(letter => (letter.Queue, letter.MessageId)).ToList();
            await StoreApartAsync(turn, cancellationToken);
            letters = [.. letters.Except(turn, ReferenceEqualityComparer.Instance).Cast<Letter>()];
        }

        Collected(log, deliveries.Count);
    }

    // One that the database refuses must not hold up the others: halves part them, and alone it is stored as bare bytes.
    async Task StoreApartAsync(List<Letter> letters, CancellationToken cancellationToken)
    {
        try
        {
            await LetterTable.StoreAsync(dataSource, letters, clock.GetUtcNow(), QuarantineAfter, cancellationToken);
        }
        catch (PostgresException exception) when (!PostgresFailure.IsUnavailable(exception))
        {
            if (letters.Count > 1)
            {
                var half = letters.Count / 2;
                await StoreApartAsync([.. letters.Take(half)], cancellationToken);
                await StoreApartAsync([.. letters.Skip(half)], cancellationToken);
            }
            else if (PostgresFailure.IsOfData(exception))
            {
                Refused(log, letters[0].Queue, letters[0].MessageId, exception.SqlState);
                await LetterTable.StoreAsync(dataSource, [Bare(letters[0])], clock.GetUtcNow(), QuarantineAfter, cancellationToken);
            }
            else
            {
                throw;
            }
        }
    }

    static Letter Bare(Letter letter) => letter with
    {
        MessageType = null,
        ExceptionType = null,
        ExceptionMessage = null,
        Stack = null,
        NormalStack = null,
        Fingerprint = Fingerprint.Of(letter.Reason, null, null, null),
        ContentType = "application/octet-stream",
        Headers = "{}",
        Host = null,
    };

    [LoggerMessage(Level = LogLevel.Information, Message = "Collected {Count} dead letters")]
    static partial void Collected(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "A dead letter of {Queue}, message {MessageId}, could not be stored as it is ({SqlState}): only its bytes are kept")]
    static partial void Refused(ILogger logger, string queue, Guid messageId, string sqlState);
}
