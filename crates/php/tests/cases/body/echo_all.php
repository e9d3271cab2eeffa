<?php
ob_end_clean();
echo str_repeat('z', 3000000);
