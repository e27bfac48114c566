-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "is_window" BOOLEAN NOT NULL DEFAULT false;

-- Those of before.
UPDATE runs r SET is_window = true FROM events e
WHERE e.run_id = r.parent_id AND e.type IN ('child.started', 'child.kept') AND e.data ->> 'runId' = r.id AND e.step LIKE '%+]';

-- A change of a run's plan is a row of the audit.
CREATE OR REPLACE FUNCTION append_events(p_run jsonb, p_events jsonb) RETURNS TABLE (status text, last_seq int, appended int)
LANGUAGE plpgsql AS $$
DECLARE
  v_id text := p_run ->> 'id';
  v_tenant text := p_run ->> 'tenant';
  v_status text;
  v_seq int;
  v_first int;
  v_is_late boolean := false;
  e jsonb;
BEGIN
  SELECT r.status, r.last_seq INTO v_status, v_seq FROM runs r WHERE r.id = v_id FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO runs (id, tenant, workflow, version, plan_hash, status, parent_id, is_window, temporal_run_id, started_by, started_at)
    VALUES (v_id, v_tenant, p_run ->> 'workflow', p_run ->> 'version', p_run ->> 'planHash', 'running', p_run ->> 'parentId',
            coalesce((p_run ->> 'isWindow')::boolean, false),
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
      -- With the change or not at all, and once: whoever asked for it may have gone before it was made.
      INSERT INTO audit (tenant, actor, action, object, data, request_id)
      VALUES (v_tenant, coalesce(e -> 'data' ->> 'by', ''), 'run.' || coalesce(e -> 'data' ->> 'kind', 'patch'), v_id,
              jsonb_build_object('version', e -> 'data' -> 'version', 'planHash', e -> 'data' -> 'planHash', 'from', e -> 'data' -> 'from'),
              e -> 'data' ->> 'requestId');
    ELSE
      PERFORM project_step(v_id, v_tenant, v_seq, e);
      v_is_late := v_is_late OR is_terminal(v_status);
    END IF;
  END LOOP;

  IF v_seq > v_first THEN
    UPDATE runs r SET last_seq = v_seq, status = v_status WHERE r.id = v_id;
  END IF;
  -- Told late, by a worker that stood still: what was done is kept, what it began nobody goes on with.
  IF v_is_late THEN
    PERFORM cancel_open(v_id);
  END IF;
  RETURN QUERY SELECT v_status, v_seq, v_seq - v_first;
END $$;
