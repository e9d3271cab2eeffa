<?php
if (isset($_GET['status'])) {
    http_response_code((int) $_GET['status']);
}
if (isset($_GET['early'])) {
    header('Location: ' . $_GET['to']);
} else {
    header('Location: ' . $_GET['to'], true, (int) ($_GET['code'] ?? 0));
}
echo "moved\n";
