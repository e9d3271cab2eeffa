<?php
// load: snmp
// keeps: format
// without a server
function work() {
    snmp_set_oid_output_format(SNMP_OID_OUTPUT_NUMERIC);
    snmp_set_quick_print(true);
    snmp_set_enum_print(true);
    $s = new SNMP(SNMP::VERSION_2C, '127.0.0.1:1', 'public', 10000, 0);
    $v3 = new SNMP(SNMP::VERSION_3, '127.0.0.1:1', 'user', 10000, 0);
    $set = $v3->setSecurity('authPriv', 'SHA', 'secretsecret', 'AES', 'secretsecret');
    return [@$s->get('1.3.6.1.2.1.1.1.0'), $s->getErrno(), $set, @$v3->get('1.3.6.1.2.1.1.1.0'), snmp_get_quick_print()];
}
function left() { return ['format' => snmp_get_quick_print()]; }
