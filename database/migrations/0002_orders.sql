-- migrate:up

-- Orders and their history. Services write orders themselves, but only the columns that change, and only along the
-- transitions listed here.

CREATE SCHEMA orders;
COMMENT ON SCHEMA orders IS 'Orders, the states that they go through, and their history.';

CREATE TABLE orders.states (
    name text PRIMARY KEY,
    meaning text NOT NULL
);
INSERT INTO orders.states VALUES
    ('pending', 'taken in, not yet acknowledged by the venue'),
    ('open', 'working at the venue, nothing filled'),
    ('partially_filled', 'working at the venue, filled in part'),
    ('filled', 'filled as a whole'),
    ('cancelled', 'ended by the client or the platform'),
    ('expired', 'ended by time'),
    ('rejected', 'refused by the platform or the venue');

CREATE TABLE orders.transitions (
    from_state text NOT NULL REFERENCES orders.states,
    to_state text NOT NULL REFERENCES orders.states,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE orders.transitions IS 'The legal changes of state. A state that nothing leads out of is final.';
INSERT INTO orders.transitions VALUES
    ('pending', 'open'), ('pending', 'partially_filled'), ('pending', 'filled'),
    ('pending', 'cancelled'), ('pending', 'rejected'),
    ('open', 'partially_filled'), ('open', 'filled'), ('open', 'cancelled'), ('open', 'expired'),
    ('partially_filled', 'filled'), ('partially_filled', 'cancelled'), ('partially_filled', 'expired');

CREATE TABLE orders.orders (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id ledger.identifier NOT NULL REFERENCES ledger.accounts,
    client_order_id ledger.identifier NOT NULL,
    symbol text COLLATE "C" NOT NULL REFERENCES ledger.assets,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    type text NOT NULL CHECK (type IN ('limit', 'market')),
    quantity ledger.amount NOT NULL CHECK (quantity > 0),
    limit_price ledger.amount CHECK (limit_price > 0),
    state text NOT NULL DEFAULT 'pending' REFERENCES orders.states,
    filled ledger.amount NOT NULL DEFAULT 0,
    hold_id uuid REFERENCES ledger.holds,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT one_order_of_a_name UNIQUE (account_id, client_order_id),
    CONSTRAINT limit_orders_have_a_price CHECK ((type = 'limit') = (limit_price IS NOT NULL)),
    CONSTRAINT filled_fits_the_state CHECK (
        CASE state
            WHEN 'partially_filled' THEN filled > 0 AND filled < quantity
            WHEN 'filled' THEN filled = quantity
            WHEN 'cancelled' THEN filled >= 0 AND filled < quantity
            WHEN 'expired' THEN filled >= 0 AND filled < quantity
            ELSE filled = 0
        END
    )
);
CREATE INDEX orders_of_account ON orders.orders (account_id, created_at DESC);
CREATE INDEX orders_working ON orders.orders (symbol, created_at)
    WHERE state IN ('pending', 'open', 'partially_filled');
COMMENT ON COLUMN orders.orders.client_order_id IS 'The client''s own name of the order: the key of its idempotency.';
COMMENT ON COLUMN orders.orders.hold_id IS 'What is set aside for it in the ledger.';

CREATE TABLE orders.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders.orders,
    state text NOT NULL REFERENCES orders.states,
    filled ledger.amount NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL DEFAULT session_user
);
CREATE INDEX events_of_order ON orders.events (order_id, id);
COMMENT ON TABLE orders.events IS 'Every state that an order was in, and whose user put it there. Append-only.';

CREATE FUNCTION orders.check_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE 'an order begins as pending, not as %', NEW.state USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM orders.transitions WHERE from_state = OLD.state) THEN
        RAISE 'order % is %, which is final', OLD.id, OLD.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS (
        SELECT FROM orders.transitions WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE 'order % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.filled < OLD.filled THEN
        RAISE 'order % has % filled already', OLD.id, OLD.filled USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER legal_change BEFORE INSERT OR UPDATE ON orders.orders
    FOR EACH ROW EXECUTE FUNCTION orders.check_change();

CREATE FUNCTION orders.note_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.state, NEW.filled) IS DISTINCT FROM (OLD.state, OLD.filled) THEN
        INSERT INTO orders.events (order_id, state, filled) VALUES (NEW.id, NEW.state, NEW.filled);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER history AFTER INSERT OR UPDATE ON orders.orders
    FOR EACH ROW EXECUTE FUNCTION orders.note_event();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON orders.events
    EXECUTE FUNCTION ledger.refuse_change();

GRANT USAGE ON SCHEMA orders TO orders_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA orders TO orders_ro;
GRANT INSERT (id, account_id, client_order_id, symbol, side, type, quantity, limit_price, hold_id)
    ON orders.orders TO orders_rw;
GRANT UPDATE (state, filled, hold_id) ON orders.orders TO orders_rw;

-- migrate:down
-- Forward only: what takes a change back is a migration of its own.
