<?php
// load: ldap
// keeps: options
// without a server
function work() {
    ldap_set_option(null, LDAP_OPT_NETWORK_TIMEOUT, 3);
    ldap_set_option(null, LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_NEVER);
    $c = ldap_connect('ldap://127.0.0.1:1');
    ldap_set_option($c, LDAP_OPT_PROTOCOL_VERSION, 3);
    $bound = @ldap_bind($c, 'cn=a', 'b');
    $secure = @ldap_bind(ldap_connect('ldaps://127.0.0.1:1'));
    return [$bound, $secure, ldap_error($c), ldap_explode_dn('cn=a,dc=b', 1), ldap_escape('a*b'), ldap_err2str(49)];
}
function left() {
    ldap_get_option(ldap_connect('ldap://127.0.0.1:1'), LDAP_OPT_NETWORK_TIMEOUT, $timeout);
    return ['options' => $timeout === 3];
}
