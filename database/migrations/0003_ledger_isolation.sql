-- migrate:up

-- The guarantees of the ledger in every isolation level. A transaction in REPEATABLE READ or SERIALIZABLE reads the
-- rows of its snapshot, even after it has waited for a lock. It only fails if a row that it locks was changed since, not
-- if the row was merely locked. So whatever a function checks must be in the balance that it locks, or be changed
-- together with that balance. In READ COMMITTED, it must be read by a statement that starts after the lock was taken.
--
-- Locks, in this order: the account, its balances by account and asset, holds. Only `block` and `set_limit` lock the
-- account.

-- Changes against the first version: balances and holds must exist before the balances are locked, and an account's
-- `blocked` is read after that. A balance that was added while the posting waited was not locked, but used.
CREATE OR REPLACE FUNCTION ledger.post(
    idempotency_key text,
    kind text,
    accounts text[],
    assets text[],
    amounts numeric[],
    release_holds uuid[] DEFAULT '{}',
    reference text DEFAULT NULL
) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
DECLARE
    lines CONSTANT integer := cardinality(accounts);
    asked CONSTANT bytea := sha256(convert_to(
        jsonb_build_array(post.kind, accounts, assets, amounts::numeric(28, 8)[], release_holds, post.reference)::text,
        'UTF8'));
    posted uuid;
    known bytea;
    wrong text;
    written integer;
BEGIN
    IF lines < 2 OR lines IS DISTINCT FROM cardinality(assets) OR lines IS DISTINCT FROM cardinality(amounts) THEN
        RAISE 'a transaction has two entries or more, each with an account, an asset and an amount'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- Waits for another transaction that is just using the key, and then sees what it made.
    INSERT INTO ledger.transactions AS t (source, idempotency_key, digest, kind, reference)
    VALUES (session_user, post.idempotency_key, asked, post.kind, post.reference)
    ON CONFLICT ON CONSTRAINT transactions_once DO NOTHING
    RETURNING t.id INTO posted;
    IF posted IS NULL THEN
        SELECT t.id, t.digest INTO posted, known
        FROM ledger.transactions AS t
        WHERE t.source = session_user AND t.idempotency_key = post.idempotency_key;
        IF known IS DISTINCT FROM asked THEN
            RAISE 'idempotency key % was used for another transaction', post.idempotency_key
                USING ERRCODE = 'unique_violation';
        END IF;
        RETURN posted;
    END IF;

    -- Rows of balances and holds are never deleted, so all that exist here are locked below.
    SELECT CASE
        WHEN b.account_id IS NULL THEN format('account %s does not hold %s', line.account, line.asset)
        ELSE format('%s has more decimals than %s has (%s)', line.amount, line.asset, s.decimals)
        END INTO wrong
    FROM unnest(accounts, assets, amounts) AS line (account, asset, amount)
    LEFT JOIN ledger.balances AS b ON b.account_id = line.account AND b.asset = line.asset
    LEFT JOIN ledger.assets AS s ON s.code = b.asset
    WHERE b.account_id IS NULL OR (line.amount = round(line.amount, s.decimals)) IS NOT TRUE
    UNION ALL
    SELECT 'a hold to be released is unknown or released already'
    FROM unnest(release_holds) AS hold (id)
    WHERE NOT EXISTS (SELECT FROM ledger.holds AS h WHERE h.id = hold.id)
    LIMIT 1;
    IF FOUND THEN
        RAISE '%', wrong USING ERRCODE = 'check_violation';
    END IF;

    -- Every balance that this touches, in the one order.
    PERFORM FROM ledger.balances AS b
    WHERE (b.account_id, b.asset) IN (
        SELECT account, asset FROM unnest(accounts, assets) AS line (account, asset)
        UNION SELECT h.account_id, h.asset FROM ledger.holds AS h WHERE h.id = ANY (release_holds)
    )
    ORDER BY b.account_id, b.asset
    FOR NO KEY UPDATE;

    -- Only now: whoever blocks an account must change its balances, and waits for the locks or came before them.
    SELECT format('account %s is blocked', a.id) INTO wrong
    FROM ledger.accounts AS a WHERE a.id = ANY (accounts) AND a.blocked
    LIMIT 1;
    IF FOUND THEN
        RAISE '%', wrong USING ERRCODE = 'check_violation';
    END IF;

    -- First, so that what was held can be spent.
    WITH released AS (
        UPDATE ledger.holds AS h SET released_at = now()
        WHERE h.id = ANY (release_holds) AND h.released_at IS NULL
        RETURNING h.account_id, h.asset, h.amount
    ), sums AS (
        SELECT r.account_id, r.asset, sum(r.amount) AS amount, count(*) AS number
        FROM released AS r GROUP BY r.account_id, r.asset
    ), changed AS (
        UPDATE ledger.balances AS b SET held = b.held - sums.amount, updated_at = now()
        FROM sums WHERE b.account_id = sums.account_id AND b.asset = sums.asset
    )
    SELECT 'a hold to be released is unknown or released already' INTO wrong
    WHERE cardinality(release_holds) <> (SELECT coalesce(sum(number), 0) FROM sums);
    IF FOUND THEN
        RAISE '%', wrong USING ERRCODE = 'check_violation';
    END IF;

    WITH changed AS (
        UPDATE ledger.balances AS b SET amount = b.amount + line.amount, updated_at = now()
        FROM unnest(accounts, assets, amounts) AS line (account, asset, amount)
        WHERE b.account_id = line.account AND b.asset = line.asset
        RETURNING b.account_id, b.asset, line.amount, b.amount AS balance_after
    )
    INSERT INTO ledger.entries (transaction_id, account_id, asset, amount, balance_after)
    SELECT posted, c.account_id, c.asset, c.amount, c.balance_after FROM changed AS c;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> lines THEN
        RAISE 'an account has two entries of one asset: add them up' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- The error belongs to this call, not to a later one's commit.
    SET CONSTRAINTS ledger.transaction_balances, ledger.entry_balances IMMEDIATE;
    SET CONSTRAINTS ledger.transaction_balances, ledger.entry_balances DEFERRED;
    RETURN posted;
END
$$;

-- Changes against the first version: a hold that has been released isn't returned as if it were in force, and the
-- balance is locked before anything is read.
CREATE OR REPLACE FUNCTION ledger.hold(reference text, account text, asset text, amount numeric) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
DECLARE
    placed ledger.holds;
    wrong text;
BEGIN
    -- Waits for another transaction that is just using the reference, and then sees what it made.
    INSERT INTO ledger.holds AS h (source, reference, account_id, asset, amount)
    VALUES (session_user, hold.reference, hold.account, hold.asset, hold.amount)
    ON CONFLICT ON CONSTRAINT holds_once DO NOTHING
    RETURNING h.* INTO placed;

    -- Before anything is read: whoever releases the hold or blocks the account changes the balance.
    PERFORM FROM ledger.balances AS b
    WHERE b.account_id = hold.account AND b.asset = hold.asset
    FOR NO KEY UPDATE;

    IF placed.id IS NULL THEN
        SELECT h.* INTO placed
        FROM ledger.holds AS h WHERE h.source = session_user AND h.reference = hold.reference;
        IF (placed.account_id, placed.asset, placed.amount)
            IS DISTINCT FROM (hold.account, hold.asset, hold.amount) THEN
            RAISE 'reference % was used for another hold', hold.reference USING ERRCODE = 'unique_violation';
        END IF;
        IF placed.released_at IS NOT NULL THEN
            RAISE 'reference % was used for a hold that has been released: a new hold needs a new reference',
                hold.reference USING ERRCODE = 'unique_violation';
        END IF;
        RETURN placed.id;
    END IF;

    SELECT CASE
        WHEN a.blocked THEN format('account %s is blocked', a.id)
        ELSE format('%s has more decimals than %s has', hold.amount, s.code)
        END INTO wrong
    FROM ledger.accounts AS a CROSS JOIN ledger.assets AS s
    WHERE a.id = hold.account AND s.code = hold.asset
        AND (a.blocked OR (hold.amount = round(hold.amount, s.decimals)) IS NOT TRUE);
    IF FOUND THEN
        RAISE '%', wrong USING ERRCODE = 'check_violation';
    END IF;
    UPDATE ledger.balances AS b SET held = b.held + placed.amount, updated_at = now()
    WHERE b.account_id = hold.account AND b.asset = hold.asset;
    RETURN placed.id;
END
$$;
COMMENT ON FUNCTION ledger.hold IS
    'Sets an amount aside and returns the hold''s id. The same call with the same reference returns the same id while '
    'the hold is open, and is refused after its release.';

-- Changes against the first version: the account is written.
CREATE OR REPLACE FUNCTION ledger.set_limit(account text, asset text, lowest numeric) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
    -- Changes nothing, but conflicts with `block`, which would otherwise miss a balance that is just being added.
    UPDATE ledger.accounts AS a SET blocked = a.blocked WHERE a.id = set_limit.account;
    INSERT INTO ledger.balances AS b (account_id, asset, lowest)
    VALUES (set_limit.account, set_limit.asset, set_limit.lowest)
    ON CONFLICT (account_id, asset) DO UPDATE SET lowest = excluded.lowest, updated_at = now();
$$;

-- Changes against the first version: the account is locked first, and the balances are written, not only locked.
CREATE OR REPLACE FUNCTION ledger.block(account text, blocked boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
BEGIN
    UPDATE ledger.accounts AS a SET blocked = block.blocked WHERE a.id = account;
    IF NOT FOUND THEN
        RAISE 'account % does not exist', account USING ERRCODE = 'no_data_found';
    END IF;
    -- After the postings that are under way; later ones wait here.
    PERFORM FROM ledger.balances AS b WHERE b.account_id = account ORDER BY b.asset FOR NO KEY UPDATE;
    -- Changes nothing, but makes postings with an older snapshot fail with a serialization error.
    UPDATE ledger.balances AS b SET amount = b.amount WHERE b.account_id = account;
END
$$;

-- Postings read an asset's decimals without a lock, which every posting of the asset would share. More decimals only
-- make a concurrent posting stricter than necessary; fewer would let through what no longer fits, and existing amounts
-- may not fit either.
CREATE FUNCTION ledger.refuse_fewer_decimals() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    RAISE 'asset % cannot go from % to % decimals: amounts may use them. An asset that no account holds can be '
        'deleted and added again', OLD.code, OLD.decimals, NEW.decimals USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER decimals_are_kept BEFORE UPDATE OF decimals ON ledger.assets
    FOR EACH ROW WHEN (NEW.decimals < OLD.decimals) EXECUTE FUNCTION ledger.refuse_fewer_decimals();
COMMENT ON COLUMN ledger.assets.decimals IS 'Places after the point that an amount of it may have. Never lowered.';

-- migrate:down
-- Forward only: what takes a change back is a migration of its own.
