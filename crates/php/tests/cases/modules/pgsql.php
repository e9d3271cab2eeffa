<?php
// load: pgsql
// keeps: connection
function open() { return pg_pconnect("host={$_GET['servers']} dbname=postgres user=tester"); }
function work() {
    $c = open();
    pg_query($c, "SET application_name = 'seen'");
    pg_query($c, 'CREATE TEMPORARY TABLE IF NOT EXISTS seen (n int)');
    @pg_query($c, 'NO SQL');
    pg_send_query($c, 'SELECT 5');
    $five = pg_fetch_result(pg_get_result($c), 0, 0);
    return [pg_fetch_assoc(pg_query_params($c, 'SELECT $1::int + 1 AS n', [4])), $five, pg_escape_identifier($c, 'a"b'), @pg_connect('host=127.0.0.1 port=1'), pg_lo_create_quietly($c)];
}
function pg_lo_create_quietly($c) { pg_query($c, 'BEGIN'); $id = pg_lo_create($c); pg_query($c, 'ROLLBACK'); return $id > 0; }
function left() { return ['connection' => connected()]; }
