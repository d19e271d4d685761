-- migrate:up

-- The double-entry ledger. Amounts are decimal(20,8), exact, as the API takes them (api/openapi.yaml); how many of the
-- eight places an asset may use is the asset's own (`decimals`): 2 for USD, 0 for JPY. Integers of minor units would
-- tie every stored row to that number for ever.
--
-- Who writes: nobody but the functions below, which run as the owner. Services call them and read.
--
-- Locks: a posting locks the balances that it touches in one order (account, asset), so that two postings never
-- deadlock. A caller that wants more than one posting in a transaction of its own must order them itself.

CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'Accounts, their balances, holds, and the double-entry ledger.';

CREATE DOMAIN ledger.amount AS numeric(20, 8)
    CONSTRAINT amount_is_a_number CHECK (VALUE <> 'NaN');
CREATE DOMAIN ledger.identifier AS text COLLATE "C"
    CONSTRAINT identifier_is_plain CHECK (VALUE ~ '^[A-Za-z0-9_-]{1,64}$');
COMMENT ON DOMAIN ledger.identifier IS 'What clients may call an account or an order, as the API checks it.';

CREATE TABLE ledger.assets (
    code text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[A-Z0-9][A-Z0-9.-]{0,19}$'),
    kind text NOT NULL CHECK (kind IN ('currency', 'instrument')),
    decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 8),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ledger.assets IS 'What an account can hold: currencies and instruments. Changed by migrations only.';
COMMENT ON COLUMN ledger.assets.decimals IS 'Places after the point that an amount of it may have.';

CREATE TABLE ledger.accounts (
    id ledger.identifier PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('customer', 'house')),
    holder text NOT NULL CHECK (holder <> ''),
    blocked boolean NOT NULL DEFAULT false,
    opened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX accounts_of_holder ON ledger.accounts (holder);
COMMENT ON COLUMN ledger.accounts.kind IS
    'A house account is the other side of what enters and leaves the platform: the venue, fees, banks.';
COMMENT ON COLUMN ledger.accounts.blocked IS 'Nothing is posted to it, nothing held on it.';

CREATE TABLE ledger.balances (
    account_id ledger.identifier NOT NULL REFERENCES ledger.accounts,
    asset text COLLATE "C" NOT NULL REFERENCES ledger.assets,
    amount numeric(28, 8) NOT NULL DEFAULT 0,
    held numeric(28, 8) NOT NULL DEFAULT 0,
    lowest numeric(28, 8) DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, asset),
    CONSTRAINT held_is_not_negative CHECK (held >= 0),
    -- The limit is a property of the row: no code, however wrong, can go below it.
    CONSTRAINT balance_within_limit CHECK (lowest IS NULL OR amount - held >= lowest)
) WITH (fillfactor = 70); -- room for updates in place (HOT): no indexed column changes
COMMENT ON TABLE ledger.balances IS
    'What an account has of an asset: the sum of its entries, kept in the same transaction as they are.';
COMMENT ON COLUMN ledger.balances.held IS 'The sum of its open holds, which cannot be spent otherwise.';
COMMENT ON COLUMN ledger.balances.lowest IS
    'The limit that amount - held never goes below: 0, a credit line as a negative number, or none (house accounts).';

CREATE TABLE ledger.transactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    digest bytea NOT NULL,
    kind text NOT NULL CHECK (kind <> ''),
    reference text,
    posted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transactions_once UNIQUE (source, idempotency_key)
);
CREATE INDEX transactions_by_time ON ledger.transactions (posted_at);
CREATE INDEX transactions_of_reference ON ledger.transactions (reference) WHERE reference IS NOT NULL;
COMMENT ON TABLE ledger.transactions IS 'One business event: a trade''s settlement, a deposit, a fee. Append-only.';
COMMENT ON COLUMN ledger.transactions.source IS 'The service''s user that posted it; keys are its own.';
COMMENT ON COLUMN ledger.transactions.digest IS 'SHA-256 of what was asked for: a key is good for one request only.';

CREATE TABLE ledger.entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL REFERENCES ledger.transactions,
    account_id ledger.identifier NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount ledger.amount NOT NULL CHECK (amount <> 0),
    balance_after numeric(28, 8) NOT NULL,
    FOREIGN KEY (account_id, asset) REFERENCES ledger.balances,
    UNIQUE (transaction_id, account_id, asset)
);
CREATE INDEX entries_of_account ON ledger.entries (account_id, asset, id DESC);
COMMENT ON TABLE ledger.entries IS
    'What a transaction does to one balance: added where positive. Zero in sum per transaction and asset. Append-only.';

CREATE TABLE ledger.holds (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL CHECK (length(reference) BETWEEN 1 AND 200),
    account_id ledger.identifier NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount ledger.amount NOT NULL CHECK (amount > 0),
    placed_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    FOREIGN KEY (account_id, asset) REFERENCES ledger.balances,
    CONSTRAINT holds_once UNIQUE (source, reference)
);
CREATE INDEX holds_open ON ledger.holds (account_id, asset) WHERE released_at IS NULL;
COMMENT ON TABLE ledger.holds IS 'What is set aside for an open order, until a posting or a cancellation releases it.';

-- Append-only, for the owner too.

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    RAISE '%.% is append-only: post a correction instead', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transactions
    EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entries
    EXECUTE FUNCTION ledger.refuse_change();

-- Zero in sum. Checked when the transaction ends, for whatever came into the tables and however it did.

CREATE FUNCTION ledger.check_balanced() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    checked CONSTANT uuid := to_jsonb(NEW) ->> CASE TG_TABLE_NAME WHEN 'entries' THEN 'transaction_id' ELSE 'id' END;
    unbalanced text;
BEGIN
    SELECT string_agg(format('%s %s', sum, asset), ', ') INTO unbalanced
    FROM (SELECT asset, sum(amount) FROM ledger.entries WHERE transaction_id = checked GROUP BY asset) AS sums
    WHERE sum <> 0;
    IF unbalanced IS NOT NULL THEN
        RAISE 'transaction % does not balance: % too much', checked, unbalanced USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.entries WHERE transaction_id = checked) THEN
        RAISE 'transaction % has no entries', checked USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER transaction_balances AFTER INSERT ON ledger.transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.check_balanced();
CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT ON ledger.entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.check_balanced();

-- Posting.

CREATE FUNCTION ledger.post(
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

    -- Every balance that this touches, in the one order.
    PERFORM FROM ledger.balances AS b
    WHERE (b.account_id, b.asset) IN (
        SELECT account, asset FROM unnest(accounts, assets) AS line (account, asset)
        UNION SELECT h.account_id, h.asset FROM ledger.holds AS h WHERE h.id = ANY (release_holds)
    )
    ORDER BY b.account_id, b.asset
    FOR NO KEY UPDATE;

    SELECT CASE
        WHEN b.account_id IS NULL THEN format('account %s does not hold %s', line.account, line.asset)
        WHEN a.blocked THEN format('account %s is blocked', line.account)
        ELSE format('%s has more decimals than %s has (%s)', line.amount, line.asset, s.decimals)
        END INTO wrong
    FROM unnest(accounts, assets, amounts) AS line (account, asset, amount)
    LEFT JOIN ledger.balances AS b ON b.account_id = line.account AND b.asset = line.asset
    LEFT JOIN ledger.accounts AS a ON a.id = b.account_id
    LEFT JOIN ledger.assets AS s ON s.code = b.asset
    WHERE b.account_id IS NULL OR a.blocked OR (line.amount = round(line.amount, s.decimals)) IS NOT TRUE
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
COMMENT ON FUNCTION ledger.post IS
    'Posts one transaction and returns its id: entries line by line from three arrays, and the holds that it uses up. '
    'The same call with the same key returns the same id and posts nothing; another call with that key is refused.';

-- Holds.

CREATE FUNCTION ledger.hold(reference text, account text, asset text, amount numeric) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
DECLARE
    placed ledger.holds;
BEGIN
    INSERT INTO ledger.holds AS h (source, reference, account_id, asset, amount)
    VALUES (session_user, hold.reference, hold.account, hold.asset, hold.amount)
    ON CONFLICT ON CONSTRAINT holds_once DO NOTHING
    RETURNING h.* INTO placed;
    IF placed.id IS NULL THEN
        SELECT h.* INTO placed
        FROM ledger.holds AS h WHERE h.source = session_user AND h.reference = hold.reference;
        IF (placed.account_id, placed.asset, placed.amount)
            IS DISTINCT FROM (hold.account, hold.asset, hold.amount) THEN
            RAISE 'reference % was used for another hold', hold.reference USING ERRCODE = 'unique_violation';
        END IF;
        RETURN placed.id;
    END IF;
    UPDATE ledger.balances AS b SET held = b.held + placed.amount, updated_at = now()
    FROM ledger.assets AS s
    WHERE b.account_id = hold.account AND b.asset = hold.asset AND s.code = b.asset
        AND hold.amount = round(hold.amount, s.decimals);
    IF NOT FOUND THEN
        RAISE '% has more decimals than % has', hold.amount, hold.asset USING ERRCODE = 'check_violation';
    END IF;
    IF (SELECT a.blocked FROM ledger.accounts AS a WHERE a.id = hold.account) THEN
        RAISE 'account % is blocked', hold.account USING ERRCODE = 'check_violation';
    END IF;
    RETURN placed.id;
END
$$;
COMMENT ON FUNCTION ledger.hold IS
    'Sets an amount aside and returns the hold''s id. The same call with the same reference returns the same id.';

CREATE FUNCTION ledger.release(hold uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    released ledger.holds;
BEGIN
    -- The balance before the hold, as a posting does.
    PERFORM FROM ledger.balances AS b
    JOIN ledger.holds AS h ON h.account_id = b.account_id AND h.asset = b.asset
    WHERE h.id = release.hold
    FOR NO KEY UPDATE OF b;
    IF NOT FOUND THEN
        RAISE 'hold % does not exist', release.hold USING ERRCODE = 'no_data_found';
    END IF;
    UPDATE ledger.holds AS h SET released_at = now()
    WHERE h.id = release.hold AND h.released_at IS NULL
    RETURNING h.* INTO released;
    UPDATE ledger.balances AS b SET held = b.held - released.amount, updated_at = now()
    WHERE b.account_id = released.account_id AND b.asset = released.asset;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION ledger.release IS 'Frees what a hold set aside; false where it was free already.';

-- Accounts.

CREATE FUNCTION ledger.open_account(account text, kind text, holder text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
BEGIN
    INSERT INTO ledger.accounts (id, kind, holder)
    VALUES (account, open_account.kind, open_account.holder) ON CONFLICT DO NOTHING;
    PERFORM FROM ledger.accounts AS a
    WHERE a.id = account AND a.kind = open_account.kind AND a.holder = open_account.holder;
    IF NOT FOUND THEN
        RAISE 'account % exists, of another kind or holder', account USING ERRCODE = 'unique_violation';
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.open_account IS 'Opens an account; repeats harmlessly.';

CREATE FUNCTION ledger.set_limit(account text, asset text, lowest numeric) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
    INSERT INTO ledger.balances AS b (account_id, asset, lowest)
    VALUES (set_limit.account, set_limit.asset, set_limit.lowest)
    ON CONFLICT (account_id, asset) DO UPDATE SET lowest = excluded.lowest, updated_at = now();
$$;
COMMENT ON FUNCTION ledger.set_limit IS
    'Lets an account hold an asset, down to a limit: 0, below for a credit line, null for none. Refused where the '
    'account is below it already.';

CREATE FUNCTION ledger.block(account text, blocked boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
#variable_conflict use_column
BEGIN
    -- After the postings that are under way; later ones wait here, and find it blocked.
    PERFORM FROM ledger.balances AS b WHERE b.account_id = account ORDER BY b.asset FOR NO KEY UPDATE;
    UPDATE ledger.accounts AS a SET blocked = block.blocked WHERE a.id = account;
    IF NOT FOUND THEN
        RAISE 'account % does not exist', account USING ERRCODE = 'no_data_found';
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.block IS 'Stops, or allows again, every posting and hold on an account.';

-- What must be empty: an auditor's, or a nightly check's, first question.

CREATE VIEW ledger.discrepancies AS
    SELECT 'balance' AS kind, b.account_id || ' ' || b.asset AS what, b.amount - coalesce(sum(e.amount), 0) AS difference
    FROM ledger.balances AS b
    LEFT JOIN ledger.entries AS e ON e.account_id = b.account_id AND e.asset = b.asset
    GROUP BY b.account_id, b.asset, b.amount
    HAVING b.amount <> coalesce(sum(e.amount), 0)
    UNION ALL
    SELECT 'held', b.account_id || ' ' || b.asset, b.held - coalesce(sum(h.amount), 0)
    FROM ledger.balances AS b
    LEFT JOIN ledger.holds AS h ON h.account_id = b.account_id AND h.asset = b.asset AND h.released_at IS NULL
    GROUP BY b.account_id, b.asset, b.held
    HAVING b.held <> coalesce(sum(h.amount), 0)
    UNION ALL
    SELECT 'transaction', e.transaction_id || ' ' || e.asset, sum(e.amount)
    FROM ledger.entries AS e
    GROUP BY e.transaction_id, e.asset
    HAVING sum(e.amount) <> 0;
COMMENT ON VIEW ledger.discrepancies IS
    'Balances and holds that are not the sum of their rows, and transactions that do not balance. Always empty; reads '
    'everything.';

GRANT USAGE ON SCHEMA ledger TO ledger_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO ledger_ro;
GRANT EXECUTE ON FUNCTION ledger.post, ledger.hold, ledger.release TO ledger_post;
GRANT EXECUTE ON FUNCTION ledger.open_account, ledger.set_limit, ledger.block TO accounts_rw;

-- migrate:down
-- Forward only: what takes a change back is a migration of its own.
