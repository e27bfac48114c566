-- The run's log and its projections, in one round trip and one transaction.
--
-- Events get the next numbers of their run under the run's row lock: 1..n, no gap, in commit order. An event whose
-- identity is already there changes nothing, so that retries, replays and carried copies are harmless. Projections
-- (runs, steps, approvals, listens) follow from fresh events only, and the first terminal status of a run stands.
CREATE FUNCTION append_events(p_run jsonb, p_events jsonb) RETURNS TABLE (status text, last_seq int, appended int)
LANGUAGE plpgsql AS $$
DECLARE
  v_id text := p_run ->> 'id';
  v_tenant text := p_run ->> 'tenant';
  v_status text;
  v_seq int;
  v_first int;
  e jsonb;
BEGIN
  SELECT r.status, r.last_seq INTO v_status, v_seq FROM runs r WHERE r.id = v_id FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO runs (id, tenant, workflow, version, plan_hash, status, parent_id, temporal_run_id, started_by, started_at)
    VALUES (v_id, v_tenant, p_run ->> 'workflow', p_run ->> 'version', p_run ->> 'planHash', 'running', p_run ->> 'parentId',
            p_run ->> 'temporalRunId', p_run ->> 'startedBy', to_timestamp((p_run ->> 'startedAt')::float8 / 1000))
    ON CONFLICT (id) DO NOTHING;
    SELECT r.status, r.last_seq INTO v_status, v_seq FROM runs r WHERE r.id = v_id FOR UPDATE;
  END IF;
  v_first := v_seq;

  FOR e IN SELECT value FROM jsonb_array_elements(p_events) WITH ORDINALITY AS t(value, n) ORDER BY n LOOP
    CONTINUE WHEN is_terminal(v_status) AND e ->> 'type' LIKE 'run.%';
    INSERT INTO events (run_id, seq, tenant, identity, type, time, step, data)
    VALUES (v_id, v_seq + 1, v_tenant, e ->> 'identity', e ->> 'type', to_timestamp((e ->> 'time')::float8 / 1000), e ->> 'step', e -> 'data')
    ON CONFLICT (run_id, identity) DO NOTHING;
    CONTINUE WHEN NOT FOUND;
    v_seq := v_seq + 1;
    IF e ->> 'type' LIKE 'run.%' THEN
      v_status := project_run(v_id, v_status, e);
    ELSIF e ->> 'type' = 'plan.changed' THEN
      UPDATE runs r SET version = e -> 'data' ->> 'version', plan_hash = e -> 'data' ->> 'planHash' WHERE r.id = v_id;
    ELSE
      PERFORM project_step(v_id, v_tenant, v_seq, e);
    END IF;
  END LOOP;

  IF v_seq > v_first THEN
    UPDATE runs r SET last_seq = v_seq, status = v_status WHERE r.id = v_id;
  END IF;
  RETURN QUERY SELECT v_status, v_seq, v_seq - v_first;
END $$;

CREATE FUNCTION is_terminal(p_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT p_status IN ('completed', 'completed_with_errors', 'failed', 'timed_out', 'canceled', 'terminated')
$$;

-- Gives the run's new status.
CREATE FUNCTION project_run(p_id text, p_status text, e jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_kind text := substr(e ->> 'type', length('run.') + 1);
  d jsonb := e -> 'data';
BEGIN
  IF v_kind = 'started' THEN
    UPDATE runs SET input = d -> 'input' WHERE id = p_id;
    RETURN 'running';
  ELSIF NOT is_terminal(v_kind) THEN
    UPDATE runs SET waiting_for = d -> 'for', holds = d -> 'holds' WHERE id = p_id;
    -- Time stood still for so long: whoever is asked has that much more of it.
    IF d ? 'frozenMs' THEN
      UPDATE approvals SET expires_at = expires_at + make_interval(secs => (d ->> 'frozenMs')::float8 / 1000)
      WHERE run_id = p_id AND status = 'pending';
    END IF;
    RETURN CASE v_kind WHEN 'resumed' THEN 'running' ELSE v_kind END;
  END IF;

  UPDATE runs SET output = d -> 'output', error = d -> 'error', passed_errors = d -> 'errors', waiting_for = NULL, holds = NULL,
                  ended_at = to_timestamp((e ->> 'time')::float8 / 1000)
  WHERE id = p_id;
  UPDATE steps SET status = 'canceled', ended_at = to_timestamp((e ->> 'time')::float8 / 1000)
  WHERE run_id = p_id AND status IN ('running', 'waiting', 'needs_attention');
  UPDATE approvals SET status = 'canceled' WHERE run_id = p_id AND status = 'pending';
  DELETE FROM listens WHERE run_id = p_id;
  RETURN v_kind;
END $$;

CREATE FUNCTION project_step(p_id text, p_tenant text, p_seq int, e jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  d jsonb := e -> 'data';
  v_time timestamptz := to_timestamp((e ->> 'time')::float8 / 1000);
  v_status text := CASE e ->> 'type'
    WHEN 'step.started' THEN 'running'
    WHEN 'wait.started' THEN 'waiting'
    WHEN 'listen.started' THEN 'waiting'
    WHEN 'approval.requested' THEN 'waiting'
    WHEN 'step.attended' THEN 'running'
    WHEN 'step.parked' THEN 'needs_attention'
    WHEN 'step.completed' THEN 'completed'
    WHEN 'step.failed' THEN 'failed'
    WHEN 'step.skipped' THEN 'skipped'
    WHEN 'step.canceled' THEN 'canceled'
  END;
  v_ended timestamptz := CASE WHEN v_status IN ('completed', 'failed', 'skipped', 'canceled') THEN v_time END;
BEGIN
  IF v_status IS NOT NULL THEN
    INSERT INTO steps AS s (run_id, path, tenant, type, status, attempt, output, error, usage, started_at, ended_at, first_seq)
    VALUES (p_id, e ->> 'step', p_tenant, coalesce(d ->> 'type', 'unknown'), v_status, coalesce((d ->> 'attempt')::int, 1),
            d -> 'output', coalesce(d -> 'error', d -> 'caught'), coalesce(d -> 'usage', d #> '{error,usage}'),
            v_time - make_interval(secs => coalesce((d ->> 'durationMs')::float8, 0) / 1000), v_ended, p_seq)
    ON CONFLICT (run_id, path) DO UPDATE SET
      status = excluded.status,
      attempt = greatest(s.attempt, excluded.attempt),
      output = excluded.output,
      error = excluded.error,
      usage = coalesce(excluded.usage, s.usage),
      ended_at = excluded.ended_at
    -- A result that is there stays there: a late word of the same attempt (a timeout that Temporal told, a start that
    -- was carried around) does not take it back.
    WHERE excluded.attempt > s.attempt OR s.ended_at IS NULL OR (s.status <> 'completed' AND e ->> 'type' LIKE 'step.%' AND e ->> 'type' <> 'step.started');
  END IF;

  IF e ->> 'type' LIKE 'approval.%' THEN
    PERFORM project_approval(p_id, p_tenant, e);
  ELSIF d ->> 'type' = 'approval' AND v_ended IS NOT NULL THEN
    UPDATE approvals SET status = 'canceled' WHERE run_id = p_id AND step_path = e ->> 'step' AND status = 'pending';
  ELSIF e ->> 'type' IN ('listen.started', 'listen.ended', 'event.received') OR (d ->> 'type' = 'listen' AND v_ended IS NOT NULL) THEN
    PERFORM project_listen(p_id, p_tenant, e);
  END IF;
END $$;

CREATE FUNCTION project_approval(p_id text, p_tenant text, e jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  d jsonb := e -> 'data';
  v_step text := e ->> 'step';
  v_time timestamptz := to_timestamp((e ->> 'time')::float8 / 1000);
BEGIN
  CASE e ->> 'type'
  WHEN 'approval.requested' THEN
    -- Asked again it is a question of its own: nothing of the one before stays.
    DELETE FROM approvals WHERE id = d ->> 'id';
    INSERT INTO approvals (id, run_id, tenant, step_path, title, payload, payload_hash, assignees, quorum, editable, form, status, expires_at, asked_at)
    VALUES (d ->> 'id', p_id, p_tenant, v_step, d ->> 'title', d -> 'payload', d ->> 'payloadHash',
            ARRAY(SELECT jsonb_array_elements_text(d -> 'assignees')), (d ->> 'quorum')::int,
            coalesce((d ->> 'editable')::boolean, false), d -> 'form', 'pending', (d ->> 'expiresAt')::timestamptz, v_time);
  WHEN 'approval.voted' THEN
    UPDATE approvals SET votes = d -> 'votes', payload = coalesce(d -> 'payload', payload), payload_hash = d ->> 'payloadHash'
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.escalated' THEN
    UPDATE approvals SET escalated_at = v_time, assignees = ARRAY(SELECT jsonb_array_elements_text(d -> 'assignees'))
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.decided' THEN
    UPDATE approvals SET status = d ->> 'decision', decided_at = v_time, decided_by = d ->> 'by', comment = d ->> 'comment', data = d -> 'data'
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.expired' THEN
    UPDATE approvals SET status = 'expired', decided_at = v_time WHERE run_id = p_id AND step_path = v_step;
  ELSE
    NULL;
  END CASE;
END $$;

CREATE FUNCTION project_listen(p_id text, p_tenant text, e jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_waits_for jsonb := coalesce(e #> '{data,events}', e #> '{data,waitsFor}', '[]');
BEGIN
  DELETE FROM listens WHERE run_id = p_id AND step_path = e ->> 'step' AND NOT v_waits_for ? event;
  IF e ->> 'type' = 'listen.started' THEN
    INSERT INTO listens (tenant, event, run_id, step_path)
    SELECT p_tenant, event, p_id, e ->> 'step' FROM jsonb_array_elements_text(v_waits_for) AS t(event)
    WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = p_id AND is_terminal(r.status))
    ON CONFLICT DO NOTHING;
  END IF;
END $$;
