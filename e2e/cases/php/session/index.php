<?php
session_id('fixed-for-the-test-' . $_GET['id']);
session_start();
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
echo $_SESSION['count'], ' ', session_name(), ' ', session_module_name();
if ($_SESSION['count'] === 3) {
    session_destroy();
}
